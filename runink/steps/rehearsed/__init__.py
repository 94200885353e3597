"""What a slice does in rehearsal (`actors/rehearsal.py`): the folder stands for the bundle of a run."""
