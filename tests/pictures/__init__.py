"""Pictures of the running product, for the documentation and for whoever looks whether anything is cut or ugly."""
