"""Public names of the package; ``__init__.py`` imports each on first use."""

from .api import Run as Run
from .api import cancel as cancel
from .api import list_runs as list_runs
from .api import plan as plan
from .api import replay as replay
from .api import retry as retry
from .api import run as run
from .api import submit as submit
from .engine.exported_run import open_run as open_run
from .errors import ClusterError as ClusterError
from .errors import StudyError as StudyError
from .io.network_files import read_statoil as read_statoil
from .io.network_files import write_statoil as write_statoil
from .io.network_files import write_vtk as write_vtk
from .item_export import pore_network as pore_network
from .physics.reconstruction.replicate_difference import replicate_difference as replicate_difference
from .physics.reconstruction.replicate_interval import replicate_interval as replicate_interval
from .report import write_report as write_report
from .report.comparison import compare as compare
from .report.comparison_page import write_comparison as write_comparison
from .report.pictures import draw_3d as draw_3d
from .run_export import export as export
from .studies.graded.flux_threshold import at_flux_threshold as at_flux_threshold
from .studies.porometry.bench_capillary import bubble_point as bubble_point
from .studies.porometry.bench_capillary import capillary_flow_porometry as capillary_flow_porometry
from .studies.porometry.bench_capillary import entry_pressure as entry_pressure
from .studies.porometry.bench_capillary import liquid_displacement as liquid_displacement
from .studies.porometry.bench_capillary import mercury_intrusion as mercury_intrusion
from .studies.porometry.bench_flow import flux_decline as flux_decline
from .studies.porometry.bench_flow import gas_permeation as gas_permeation
from .studies.porometry.bench_flow import rejection as rejection
from .studies.porometry.bench_flow import water_permeance as water_permeance
from .studies.porometry.summary import membrane_summary as membrane_summary
from .studies.reconstruct.compare_descriptors import compare_descriptors as compare_descriptors
from .study_file import load_study as load_study

__version__: str
