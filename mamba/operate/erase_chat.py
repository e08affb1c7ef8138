"""`mamba chat erase`: what `DELETE /chat/{id}` does, for any owner."""

from api.chat.chat_eraser import ChatEraser
from mamba.cli_errors import CommandFailed, confirm, print_now
from mamba.operate.deployment import Deployment
from shared.errors import NotFound
from shared.telemetry.logs import pseudonym


async def erase(deployment: Deployment, owner: str, chat_id: str, *, confirmed: bool) -> None:
    """Stop the chat's live run, and erase its runs, answers, and requests.

    Raises:
        CommandFailed: if the user does not confirm, or the owner has no such chat.
    """
    if not confirmed:
        question = f"Erase chat {chat_id!r} of {owner!r} permanently?"
        confirm(question, "Nothing was erased. To erase the chat")
    async with deployment.run_control() as control:
        stores = deployment.stores
        eraser = ChatEraser(stores.chats, stores.runs, deployment.queue, control)
        try:
            await eraser.erase(owner, chat_id)
        except NotFound:
            raise CommandFailed(
                f"Owner {owner!r} has no stored chat {chat_id!r}."
                " `mamba run list` shows the owners and chats of all stored runs."
            ) from None
    await deployment.record("ops.chat_erased", owner=pseudonym(owner), chat=pseudonym(chat_id))
    print_now(f"Chat {chat_id} is erased.")
