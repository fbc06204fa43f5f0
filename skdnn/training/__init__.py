"""One call of fit: from what the user gave to fitted parameters."""
