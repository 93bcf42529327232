"""What comes in from outside, and its shape: frames (pandera) and configuration files (pydantic)."""
