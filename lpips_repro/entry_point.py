"""Running a script's entry point, with user errors shown in one line."""

import io
import itertools
import logging
import os
import re
import shlex
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

import lpips_repro.datasets  # noqa: F401 (registers the datasets)
from lpips_repro.config import explain
from lpips_repro.config.addresses import public
from lpips_repro.config.library_metrics import register_library_metrics
from lpips_repro.config.paths import CONFIGS
from lpips_repro.config.secrets import PublicRecord, hide_arguments
from lpips_repro.config.timm_nets import register_timm_nets
from lpips_repro.errors import UserError, check_utf8, expected
from lpips_repro.files.writing import FULL, space_remedy
from lpips_repro.quoting import one_line, quoted
from lpips_repro.sweep import unfinished

LAUNCHERS = ("joblib", "submitit")  # their errors are shown unchanged: no SLURM, an unknown partition
SWEEP = "not every run of the sweep finished"
MOST_BRACKETS = 50  # in each other, in a word of the command
KEPT = "completed work is kept, and the same command resumes there"


def run(main: Callable[[], None]) -> None:
    """Call a Hydra entry point. User errors end it with one line (one per run of a sweep) and exit status 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises its errors
    sys.argv = hide_arguments(sys.argv)  # Hydra prints and writes arguments in many places
    logging.setLogRecordFactory(PublicRecord)
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not support all characters of file names
    sys.stderr = cast(TextIO, _WithoutOverrides(sys.stderr))
    threading.excepthook = _thread_failed
    try:
        for word in sys.argv[1:]:
            _check_word(word)
        _check_trainer(sys.argv[1:])
        register_timm_nets(sys.argv[1:])
        register_library_metrics(sys.argv[1:])
        main()
    except KeyboardInterrupt:
        interrupted = f"interrupted: {KEPT}"
        if _is_ours(interrupted):
            print(interrupted, file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        runs = unfinished()
        message = "\n  ".join([f"{SWEEP}: {KEPT}", *runs]) if runs else _explain(error)
        if not _is_ours(message or repr(error)):
            sys.exit(1)
        if message is None:
            raise
        sys.exit("error: " + "\n".join(map(one_line, message.split("\n"))))


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Show the traceback of a thread, unless the disk is full: TensorBoard's next write raises that error again."""
    if not space_remedy(failed.exc_value):
        threading.__excepthook__(failed)


def _check_word(word: str) -> None:
    """Raise UserError for a word of the command that Hydra's parser cannot read at all."""
    check_utf8(word)
    depth = max(itertools.accumulate((one in "[{(") - (one in "]})") for one in word), default=0)
    if depth > MOST_BRACKETS or re.search(r"\d{4300}", word):
        what = "brackets are nested too deeply" if depth > MOST_BRACKETS else "a number has too many digits"
        raise UserError(f"{public(word[:60])}...: {what}")


def _is_ours(message: str) -> bool:
    """Whether this process shows a message: of the processes that torchrun started, the first that has it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return True
    from lpips_repro.distributed import is_first_to_report  # imports torch

    return is_first_to_report(message)


def _check_trainer(words: Sequence[str]) -> None:
    """Raise UserError for an unknown schedule of training: Hydra ignores it, since the group is optional."""
    if any(word.startswith(("--config-dir", "-cd", "hydra.searchpath")) for word in words):
        return  # that folder may have schedules of its own
    known = choices("trainer")
    for word in words:
        key, _, value = word.partition("=")
        for name in value.strip("[]'\"").split(",") if key.lstrip("+") == "trainer" else ():
            if "$" not in name and name not in (*known, "null"):
                raise UserError(f"{public(word)}: {expected(name, known)} (or none of them, for the default)")


class _WithoutOverrides:
    """Standard error without Hydra's line before an error, "Error executing job with overrides: [...]"."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write text, unless it is that line."""
        return len(text) if text.startswith("Error executing job with overrides") else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _explain(error: Exception) -> str | None:
    """The message for the user, or None if a traceback is needed."""
    if isinstance(error, UserError | HydraException | OmegaConfBaseException):
        if experiment := _explain_experiment(str(error)):
            return experiment
        return str(error) if isinstance(error, UserError) else one_line(_explain_override(error))
    if type(error) is ValueError and str(error).startswith("Config group override"):
        return _explain_no_choice(sys.argv[1:])
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):
        named = [str(file) for file in (error.filename2 or error.filename,) if file]  # of a renamed file: its new name
        kept = f"{space_remedy(error)}: {KEPT}" if error.errno in FULL else ""
        return one_line(": ".join([*named, str(error.strerror)]) + kept)
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        near = error.object[max(0, error.start - 60) : error.end + 60]
        return f"{str(os.fsencode(near))[2:-1]}: not UTF-8: rename the file or folder"
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    modules = (type(error).__module__, frame.f_globals["__name__"])
    if any(module.partition(".")[0] in LAUNCHERS for module in modules):
        return str(error)
    return None


def _explain_override(error: Exception) -> str:
    """The message for an override that Hydra refused, in one line."""
    if isinstance(error, OverrideParseException):
        return _explain_grammar(error.override)
    if ambiguous := re.search(r"Ambiguous value for argument '(.*)'\n", str(error)):
        return _explain_grammar(ambiguous[1])
    if interpolation := re.search(r"Error resolving interpolation '(.*?)'", str(error)):
        for word in sys.argv[1:]:
            key, _, value = word.partition("=")
            if value.startswith("[") and f"${{{key}}}" in interpolation[1]:
                return f"{public(word)}: expected one name: {key}={public(value.strip('[]').partition(',')[0])}"
    if several := re.search(r"Multiple values for (\S+)\. ", str(error)):
        word = next((word for word in sys.argv[1:] if word.startswith(f"+{several[1]}=")), f"+{several[1]}=")
        return f"{public(word)}: {several[1]} has a value already: leave out the +: {public(word[1:])}"
    if absent := re.search(r"Could not override '(.+?)'\. No match in the defaults list", str(error)):
        return f"{absent[1]}: this command has no such setting"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _explain_choice(error.missing_cfg_file, error.options)
    cause = error.__cause__
    while cause is not None and not isinstance(cause, OmegaConfBaseException):
        cause = cause.__cause__
    if cause is None:
        return " ".join(str(error).partition("\nConfig search path")[0].split())
    return explain(cause)


def _explain_choice(file: str, options: Sequence[str] | None) -> str:
    """The message for an unknown choice of a group; `options`: Hydra's options, if only one is allowed."""
    group, _, name = file.partition("/")
    while (CONFIGS / group / name).parent.is_dir() and "/" in name:
        part, _, name = name.partition("/")
        group = f"{group}/{part}"
    names = [*(options or choices(group)), *(["timm/NAME"] if group == "net" else [])]
    if group == "experiment":  # without those of other commands
        names = [one for one in names if one in choices(group) or not (CONFIGS / group / f"{one}.yaml").is_file()]
    return f"{group}={name}: {expected(name, names, 'one' if options else 'some')}"


def _explain_experiment(message: str) -> str | None:
    """The message for an experiment of another command, whose settings this one does not have; else None."""
    unknown, _, _ = message.partition(": unknown setting")
    for word in sys.argv[1:]:
        key, _, name = word.lstrip("+").partition("=")
        file = CONFIGS / f"experiment/{name}.yaml"
        if key != "experiment" or not file.is_file() or _command_of(name) == _this_command():
            continue
        if "experiment" in message or re.search(rf"^{re.escape(unknown)}:", file.read_text(), re.MULTILINE):
            own = [one for one in choices("experiment") if _command_of(one) == _this_command()]
            known = expected(name, own) if own else f"`make {_this_command()}` has no experiments"
            return f"experiment={name}: an experiment of `make {_command_of(name)}`: {known}"
    return None


def _this_command() -> str:
    """The name of this script in make."""
    return {"evaluate": "eval-tables"}.get(name := Path(sys.argv[0]).stem.replace("_", "-"), name)


def _command_of(experiment: str) -> str:
    """The command in the comments at the top of a file in `configs/experiment/`."""
    text = (CONFIGS / f"experiment/{experiment}.yaml").read_text()
    found = re.search(rf'make ([a-z-]+)[^;\n]*ARGS="experiment={experiment}"', text) or re.search(
        r"make ([a-z-]+)", text
    )
    return found[1] if found else ""


def choices(group: str) -> list[str]:
    """The choices of a group of settings in `configs/`; of experiments those of this command, if it has any."""
    names = sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))
    own = [name for name in names if group == "experiment" and _command_of(name) == _this_command()]
    return own or names


def _explain_no_choice(words: Sequence[str]) -> str | None:
    """The message for a group of settings whose value is not a name, such as `data=null`."""
    parser = OverridesParser.create()
    for word in words:
        key, equals, value = word.partition("=")
        if equals and (CONFIGS / key).is_dir() and not isinstance(parser.parse_override(word).value(), str | list):
            return f"{public(word)}: {expected(value, choices(key))} (the default without it)"
    return None


def _explain_grammar(word: str) -> str:
    """The message for a word that is not an override, with the quotes that make it one."""
    key, equals, value = word.partition("=")
    if not equals:
        return f"{public(word)}: expected KEY=VALUE"
    if value.startswith("[") and value.endswith("]"):
        value = f"[{','.join(map(_quoted_once, value[1:-1].split(',')))}]"
    else:
        value = _quoted_once(value)
    advised = shlex.quote(f"{key}={value}")
    in_make = re.sub(r'([\\"$`])', r"\\\1", advised)
    return public(
        f"{word}: Hydra cannot read this value: quote it for Hydra and for the shell: {advised}, and in make also as"
        f' ARGS="{in_make}"'
    )


def _quoted_once(text: str) -> str:
    return quoted(text.strip("\"'"))
