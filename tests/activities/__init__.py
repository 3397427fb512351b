"""What activities are worth beside the labels they are made of, on recordings of people never seen."""
