"""The benchmark: what a call costs here, beside a web server and beside what one would write in an hour."""
