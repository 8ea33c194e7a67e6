"""Chat templates for tokenizers that have none, as Jinja.

Each ends what somebody says with the tokenizer's own end-of-text token, so that a model learns to stop by a token that
it has; their marks are plain text where the tokenizer does not know them. `{% generation %}` marks what the assistant
says.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

ChatTemplate = Literal["", "chatml", "llama-2", "plain"]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA_2 = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{% if not loop.first or messages|length == 1 or messages[1]['role'] != 'user' %}"
    "{{ raise_exception('llama-2 takes a system message only right before the first message of the user') }}{% endif %}"
    "{% elif message['role'] == 'user' %}{{ bos_token|default('') + '[INST] ' }}"
    "{% if loop.index0 == 1 and messages[0]['role'] == 'system' %}"
    "{{ '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' }}{% endif %}"
    "{{ message['content']|trim + ' [/INST]' }}"
    "{% else %}{% generation %}{{ ' ' + message['content']|trim + ' ' + eos_token }}{% endgeneration %}{% endif %}"
    "{% endfor %}"
)
PLAIN = (
    "{% for message in messages %}{{ message['role']|capitalize + ':' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ ' ' + message['content'] }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
CHAT_TEMPLATES: Mapping[str, str] = MappingProxyType({"chatml": CHATML, "llama-2": LLAMA_2, "plain": PLAIN})
