"""What recognition is worth when devices come at rates and in states of their own."""
