# Accepts tokens of SPNEGO with MIT's library: a question a line, an answer a line, in JSON.
import base64, json, sys

import gssapi
from gssapi.raw import ChannelBindings, RequirementFlag

gssapi.SecurityContext.__DEFER_STEP_ERRORS__ = False

for line in sys.stdin:
    question = json.loads(line)
    answer = {}
    try:
        channel = ChannelBindings(application_data=base64.b64decode(question["channel"]))
        context = gssapi.SecurityContext(usage="accept", channel_bindings=channel)
        context.step(base64.b64decode(question["token"]))
        answer["name"] = str(context.initiator_name)
        answer["complete"] = context.complete
        answer["bound"] = RequirementFlag.channel_bound in context.actual_flags
    except gssapi.exceptions.GSSError as error:
        answer["refused"] = type(error).__name__ + ": " + str(error)
    except Exception as error:
        answer["refused"] = "not a token: " + repr(error)
    print(json.dumps(answer), flush=True)
