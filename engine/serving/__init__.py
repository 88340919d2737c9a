"""Running unattended: a scheduler that starts runs, a worker that delivers, a web server that listens."""
