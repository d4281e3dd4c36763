"""The same agent as its neighbours, on the PyPI package haproxyspoa.

It answers the message `ask` with `txn.score` = 42 and, if it has an argument `path`, with `txn.echo` = that.
Prints its address, and serves until it is killed.
"""

import asyncio
import logging

from haproxyspoa.payloads.ack import AckPayload
from haproxyspoa.spoa_server import SpoaServer

logging.disable(logging.CRITICAL)
agent = SpoaServer()


@agent.handler("ask")
async def ask(path=None, **_):
    answer = AckPayload()
    if path is not None:
        answer.set_txn_var("echo", path)
    return answer.set_txn_var("score", 42)


async def handle(reader, writer):
    # The library leaves it to the interpreter to close, and takes a proxy's leaving for an error.
    try:
        await agent.handle_connection(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    print(f"{host}:{port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
