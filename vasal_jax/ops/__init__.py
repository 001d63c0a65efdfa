"""Operations of the model, in the form that is fastest where they run."""
