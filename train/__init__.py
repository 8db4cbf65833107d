"""From a style image and photographs to a trained image transformation network."""
