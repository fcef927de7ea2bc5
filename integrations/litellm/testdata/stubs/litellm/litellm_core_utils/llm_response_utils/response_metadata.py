def update_response_metadata(*args):
    pass
