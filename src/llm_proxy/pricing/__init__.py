"""What calls cost. Pure but for one lazily imported table of list prices; no network, ever."""
