"use strict";
// Values where the pointer is, legend entries that hide their series, and volumes that turn.
// Each figure states what it shows as JSON; without this script the figures are pictures.

const REACH = 14; // largest distance of the pointer from a point whose values are shown, in pixels
const tooltip = document.body.appendChild(document.createElement("div"));
tooltip.className = "tooltip";
tooltip.setAttribute("role", "status");

function svgElement(svg, name, attributes) {
  const element = svg.appendChild(document.createElementNS(svg.namespaceURI, name));
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return element;
}

// A line of text such as "flux: 1.2 L m⁻² h⁻¹" for the label "flux [L m⁻² h⁻¹]".
function valueLine(label, value, names) {
  if (value === null) return "";
  if (names) {
    const near = names.filter(([position]) => Math.abs(position - value) < 0.5);
    if (near.length) value = near[0][1];
  }
  const [, quantity, unit] = label.match(/^(.*?)(?: \[(.*)\])?$/);
  return (quantity ? quantity + ": " : "") + value + (unit ? " " + unit : "");
}

function interval(series, index, name, text) {
  const low = series[name + "_low"], high = series[name + "_high"];
  return low && low[index] !== null ? `${text}: ${low[index]} to ${high[index]}` : "";
}

function pointText(data, series, index) {
  const axes = data.axes[series.axes];
  return [
    [axes.title, series.name].filter(Boolean).join(", "),
    valueLine(axes.x, series.x[index], axes.x_names),
    interval(series, index, "x_bar", "error bar"),
    interval(series, index, "x_band", "band"),
    valueLine(axes.y, series.y[index], axes.y_names),
    interval(series, index, "bar", "error bar"),
    interval(series, index, "band", "band"),
  ].filter(Boolean).join("\n");
}

// Shows the values of points, of the nearest one to the pointer or, with the keys of arrows, one after the other.
function showValues(svg, data) {
  const mark = svgElement(svg, "circle", { class: "mark", r: 4, visibility: "hidden" });
  const isShown = (series) => document.getElementById(series.id).style.display !== "none";
  let current = null;

  function hide() {
    current = null;
    tooltip.textContent = "";
    mark.setAttribute("visibility", "hidden");
  }

  function show(series, index) {
    current = [series, index];
    mark.setAttribute("cx", series.px[index]);
    mark.setAttribute("cy", series.py[index]);
    mark.setAttribute("visibility", "visible");
    tooltip.textContent = pointText(data, series, index);
    const box = mark.getBoundingClientRect();
    const left = box.right + 6 + tooltip.offsetWidth > innerWidth ? box.left - 6 - tooltip.offsetWidth : box.right + 6;
    const top = Math.min(box.bottom + 6, innerHeight - tooltip.offsetHeight);
    tooltip.style.left = Math.max(0, left) + "px";
    tooltip.style.top = Math.max(0, top) + "px";
  }

  function showNearest(event) {
    const matrix = svg.getScreenCTM();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    let best = (REACH / matrix.a) ** 2, found = null;
    for (const series of data.series) {
      if (!isShown(series)) continue;
      for (let i = 0; i < series.px.length; i++) {
        const distance = (series.px[i] - at.x) ** 2 + (series.py[i] - at.y) ** 2;
        if (distance < best) [best, found] = [distance, [series, i]];
      }
    }
    if (found) show(...found);
    else hide();
  }

  function step(event) {
    const shown = data.series.filter(isShown);
    if (event.key === "Escape") hide();
    if (!event.key.startsWith("Arrow") || !shown.length || event.target !== svg) return;
    event.preventDefault();
    const [series, index] = current || [shown[0], -1];
    const forwards = event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      show(series, Math.max(0, Math.min(series.px.length - 1, index + forwards)));
    } else {
      const next = shown[(shown.indexOf(series) + forwards + shown.length) % shown.length];
      show(next, 0);
    }
  }

  if (!data.series.length) return hide;
  svg.setAttribute("tabindex", 0);
  svg.addEventListener("pointermove", showNearest);
  svg.addEventListener("pointerdown", showNearest);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", step);
  return hide;
}

// Legend entries are buttons. What has several entries is shown while all of them are.
function addToggles(svg, data, hide) {
  const buttons = data.legend.map((entry) => {
    const [x, y, width, height] = entry.box;
    const button = svgElement(svg, "rect", {
      class: "entry", x, y, width, height, tabindex: 0, role: "button", "aria-pressed": true, "aria-label": entry.name,
    });
    const toggle = () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "false");
      for (const id of entry.ids) {
        const isHidden = data.legend.some(
          (other, i) => other.ids.includes(id) && buttons[i].getAttribute("aria-pressed") === "false");
        document.getElementById(id).style.display = isHidden ? "none" : "";
      }
      hide();
    };
    button.addEventListener("click", toggle);
    button.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    return button;
  });
}

const VERTEX_SHADER = `#version 300 es
in vec2 corner;
out vec2 screen;
uniform vec2 halfSize; // of the canvas, nm
void main() {
  screen = corner * halfSize;
  gl_Position = vec4(corner, 0.0, 1.0);
}`;
// A parallel ray for each pixel, through the box of the volume to the first point in solid. Vectors are (x, y, z).
const FRAGMENT_SHADER = `#version 300 es
precision highp float;
precision highp sampler3D;
in vec2 screen;
uniform sampler3D cells;
uniform vec3 right, up, toward, extent, solid, cut, paper, ink;
uniform float halfLevel, stepLength, lineWidth;
out vec4 color;

float solidity(vec3 point) { return texture(cells, point / extent).r - halfLevel; }

bool isOnEdge(vec3 point) {
  vec3 distance = min(abs(point), abs(point - extent));
  return min(max(distance.x, distance.y), min(max(distance.y, distance.z), max(distance.x, distance.z))) < lineWidth;
}

void main() {
  vec3 origin = 0.5 * extent + screen.x * right + screen.y * up;
  vec3 inverse = -1.0 / (toward + vec3(equal(toward, vec3(0.0))) * 1e-9);
  vec3 first = min(-origin * inverse, (extent - origin) * inverse);
  vec3 last = max(-origin * inverse, (extent - origin) * inverse);
  float near = max(first.x, max(first.y, first.z)), far = min(last.x, min(last.y, last.z));
  color = vec4(paper, 1.0);
  if (near >= far) return;
  vec3 entry = origin - near * toward;
  if (isOnEdge(entry)) { color = vec4(mix(paper, ink, 0.9), 1.0); return; }
  vec3 normal = vec3(greaterThanEqual(first, vec3(near))) * sign(toward), base = cut;
  float at = near;
  if (solidity(entry) <= 0.0) {
    base = solid;
    while (at < far && solidity(origin - at * toward) <= 0.0) at += stepLength;
    if (at >= far) {
      if (isOnEdge(origin - far * toward)) color = vec4(mix(paper, ink, 0.3), 1.0);
      return;
    }
    float before = at - stepLength;
    for (int i = 0; i < 5; i++) {
      float middle = 0.5 * (before + at);
      if (solidity(origin - middle * toward) > 0.0) at = middle;
      else before = middle;
    }
    vec3 point = origin - at * toward, d = vec3(stepLength, 0.0, 0.0);
    vec3 slope = vec3(
      solidity(point + d.xyy) - solidity(point - d.xyy), solidity(point + d.yxy) - solidity(point - d.yxy),
      solidity(point + d.yyx) - solidity(point - d.yyx));
    normal = -slope / max(length(slope), 1e-6);
  }
  vec3 seen = vec3(dot(normal, right), dot(normal, up), dot(normal, toward));
  float light = 0.5 + 0.5 * max(dot(seen, normalize(vec3(-0.2, 0.62, 0.75))), 0.0);
  float below = (at - near) / length(extent); // pores are darker the deeper they are
  color = vec4(base * light * (0.35 + 0.65 * exp(-25.0 * below)), 1.0);
}`;

async function uncompressed(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function shaderProgram(gl) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  gl.useProgram(program);
  return program;
}

// The cells as a texture with values between them, and a rectangle that fills the canvas.
function upload(gl, program, volume, cells) {
  const [depth, rows, columns] = volume.shape;
  gl.bindTexture(gl.TEXTURE_3D, gl.createTexture());
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.R8, columns, rows, depth, 0, gl.RED, gl.UNSIGNED_BYTE, cells);
  for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, filter, gl.LINEAR);
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R])
    gl.texParameteri(gl.TEXTURE_3D, wrap, gl.CLAMP_TO_EDGE);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
  const corner = gl.getAttribLocation(program, "corner");
  gl.enableVertexAttribArray(corner);
  gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
}

// Directions of the screen, right, up and towards the viewer, along x, y and z; z is the depth, which points down.
function viewDirections(azimuth, elevation) {
  const [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
  return { right: [ca, sa, 0], up: [-sa * se, ca * se, -ce], toward: [sa * ce, -ca * ce, -se] };
}

function rgb(text) {
  if (text.startsWith("rgb")) return text.match(/[\d.]+/g).slice(0, 3).map((value) => value / 255);
  return [1, 3, 5].map((start) => parseInt(text.slice(start, start + 2), 16) / 255);
}

// A canvas over the still picture of a volume, which shows until the volume is turned first, and on paper.
async function addVolume(container, svg, volume) {
  const canvas = document.createElement("canvas");
  const gl = canvas.getContext("webgl2");
  if (!gl || !window.DecompressionStream) return false;
  const frame = svg.viewBox.baseVal;
  const [left, top, width, height] = volume.box;
  for (const [name, part, whole] of [
    ["left", left, frame.width], ["top", top, frame.height], ["width", width, frame.width],
    ["height", height, frame.height],
  ]) canvas.style[name] = (100 * part) / whole + "%";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "Solid of the volume; drag it, or use the arrow keys, to turn it");
  const program = shaderProgram(gl);
  upload(gl, program, volume, await uncompressed(volume.cells));
  const extent = [...volume.extent].reverse(); // x, y, z
  const diagonal = Math.hypot(...extent);
  const uniform = (name) => gl.getUniformLocation(program, name);
  let azimuth = (volume.azimuth * Math.PI) / 180, elevation = (volume.elevation * Math.PI) / 180;

  function draw() {
    const size = canvas.getBoundingClientRect(), ratio = Math.max(2, window.devicePixelRatio);
    canvas.width = Math.max(1, size.width * ratio);
    canvas.height = Math.max(1, size.height * ratio);
    gl.viewport(0, 0, canvas.width, canvas.height);
    const pixel = (1.02 * diagonal) / Math.min(canvas.width, canvas.height);
    gl.uniform2f(uniform("halfSize"), (pixel * canvas.width) / 2, (pixel * canvas.height) / 2);
    for (const [name, direction] of Object.entries(viewDirections(azimuth, elevation)))
      gl.uniform3fv(uniform(name), direction);
    gl.uniform3fv(uniform("extent"), extent);
    const page = getComputedStyle(document.body);
    gl.uniform3fv(uniform("paper"), rgb(page.backgroundColor));
    gl.uniform3fv(uniform("ink"), rgb(page.color));
    gl.uniform3fv(uniform("solid"), rgb(volume.solid));
    gl.uniform3fv(uniform("cut"), rgb(volume.cut));
    gl.uniform1f(uniform("halfLevel"), volume.levels / 2 / 255);
    gl.uniform1f(uniform("stepLength"), (0.5 * volume.extent[0]) / volume.shape[0]);
    gl.uniform1f(uniform("lineWidth"), pixel);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  function turn(sideways, downwards) {
    azimuth -= sideways;
    elevation = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, elevation + downwards));
    canvas.classList.add("turned");
    requestAnimationFrame(draw);
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) turn(event.movementX / 100, event.movementY / 100);
  });
  canvas.addEventListener("keydown", (event) => {
    const turns = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (!turns) return;
    event.preventDefault();
    turn(...turns);
  });
  container.append(canvas);
  return true;
}

for (const figure of document.querySelectorAll("figure")) {
  const block = figure.querySelector('script[type="application/json"]');
  const container = figure.querySelector(".drawing"), svg = container.querySelector("svg");
  const data = JSON.parse(block.textContent);
  addToggles(svg, data, showValues(svg, data));
  Promise.all(data.volumes.map((volume) => addVolume(container, svg, volume))).then((added) => {
    if (!added.includes(true)) return;
    const hint = document.createElement("span");
    hint.className = "hint";
    const edges = data.volumes.map((volume) => volume.extent[0] / volume.shape[0]);
    const edge = Number(Math.max(...edges).toPrecision(3)); // cells are cubes, which may be coarser than in the picture
    hint.textContent = ` Drag the volume to turn it, in cells of ${edge} nm.`;
    figure.querySelector("figcaption").append(hint);
  });
}
