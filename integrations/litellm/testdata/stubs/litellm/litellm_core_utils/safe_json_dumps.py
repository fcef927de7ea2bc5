import json

safe_dumps = json.dumps
