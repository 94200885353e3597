"""What a slice does in rehearsal (`steps/rehearsing.py`): the folder stands for the bundle of a run."""
