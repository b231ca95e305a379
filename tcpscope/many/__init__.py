"""What commands for many captures share: finding them, reading one after the other, spreading them over processes."""
