"""Tables of measurements as people have them: CSV, Excel or JSON, with the units in the headers."""
