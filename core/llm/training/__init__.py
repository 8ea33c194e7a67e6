"""TRL's trainers as the workbench runs them. Importing anything here imports torch and TRL, which takes seconds."""
