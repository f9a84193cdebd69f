"""Tables of laboratory measurements in CSV, Excel or JSON, with units in their headers."""
