"""Tables of measurements in CSV, Excel or JSON, with units in the headers."""
