"""What `tutorial` can do besides opening JupyterLab; each module's `app` joins the command."""
