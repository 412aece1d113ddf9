#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keep the manual, --help and the completions of the shells in step.

Runs the nsntrace that $NSNTRACE names. The reference is its --help: the manual
and every completion script must have the same options, with the same letters,
names and arguments, and no others. What the manual calls not yet supported must
be refused in these words.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TOP = pathlib.Path(os.environ.get("top_srcdir", HERE.parents[1]))
MANUAL = TOP / "man" / "nsntrace.1"


def nsntrace(*words):
    """Run nsntrace, which is to do no more than to answer."""
    return subprocess.run([os.environ["NSNTRACE"], *words], text=True,
                          capture_output=True, check=False)


def completion(shell):
    """The completion script for a shell."""
    return nsntrace("--completion", shell).stdout


def in_help():
    """Each option of --help: its spellings -> its argument, or None.

    One that may be left out, as that of --doctor[=json], begins with '='.
    """
    line = re.compile(r"  ((?:-\w, )*) *(--[\w-]+)(?: (\S+)|\[(=\S+)\])?  +\S")
    options = {}
    for found in map(line.match, nsntrace("--help").stdout.splitlines()):
        if found:
            letters, name, argument, optional = found.groups()
            options[(*re.findall(r"-\w", letters), name)] = argument or optional
    return options


def section(name):
    """The text of one section of the manual."""
    return re.search(rf"^\.Sh {name}\n(.*?)(?=^\.Sh |\Z)",
                     MANUAL.read_text(), re.MULTILINE | re.DOTALL).group(1)


def spellings(mdoc):
    """The options in a piece of mdoc: "Fl o , w , Fl \\-out" and the like."""
    return tuple("-" + word.replace("\\-", "-") for word in mdoc.split()
                 if word not in ("Fl", ","))


def in_manual():
    """The same of the section OPTIONS of the manual."""
    items = re.findall(r"^\.It (Fl .*?)(?: Ns Op (= .*)| Ar (.*))?$",
                       section("OPTIONS"), re.MULTILINE)
    return {spellings(flags):
            argument or re.sub(" .* ", "", optional) or None
            for flags, optional, argument in items}


def in_zsh():
    """The same of the arguments of _arguments."""
    items = re.findall(r"^\t'\((-[^)]*)\)'(\S+)'\[[^]]*\]"
                       r"(?::(:?(?:\\.|[^:])*):.*)?' \\$",
                       completion("zsh"), re.MULTILINE)
    # "--name=-" is what its value has to be joined to.
    return {tuple(words.split()):
            ("=" if spelt.endswith("=-") else "")
            + argument.removeprefix(":").replace("\\:", ":") or None
            for words, spelt, argument in items if words != "-"}


def in_fish():
    """Likewise of the calls of complete: "x" stands for any argument, and "=x"
    for one that may be left out."""
    options = {}
    for line in completion("fish").splitlines():
        words = shlex.split(line) if line.startswith("complete") else []
        pairs = list(zip(words, words[1:]))
        names = [f"-{word}" for option, word in pairs if option == "-s"]
        names += [f"--{word}" for option, word in pairs if option == "-l"]
        if names:
            takes = "x" if "-x" in words or "-r" in words else "=x"
            options[tuple(names)] = (
                takes if takes == "x" or "-a" in words else None)
    return options


def ask_bash(questions):
    """What the bash completion proposes for each list of words."""
    script = completion("bash") + """
    ask() {
        COMP_WORDS=(nsntrace "$@") COMP_CWORD=$#
        COMPREPLY=()
        _nsntrace
        echo "${COMPREPLY[*]}"
    }
    """ + "\n".join("ask " + shlex.join(words) for words in questions)
    answers = subprocess.run(["bash", "-c", script], text=True,
                             capture_output=True, check=True).stdout
    return [answer.split() for answer in answers.splitlines()]


def differences(where, found, expected):
    """Tell what differs between the options found somewhere and --help."""
    for option in sorted(found.keys() | expected.keys()):
        name = ", ".join(option)
        if option not in found:
            yield f"{where}: {name} is missing"
        elif option not in expected:
            yield f"{where}: {name} is not in --help"
        elif found[option] != expected[option]:
            yield (f"{where}: {name} takes {found[option]}, "
                   f"in --help {expected[option]}")


def bash_differences(expected):
    """Tell where bash proposes other options or values than --help has."""
    every = [word for option in expected for word in option]
    takes = [word for option in expected for word in option
             if expected[option] and expected[option][0] != "="]
    # What is not in capitals is a choice of words.
    choices = {(word, "=") if expected[option][0] == "=" else (word,):
               expected[option].removeprefix("=").split("|")
               for option in expected for word in option
               if expected[option] and expected[option].islower()}

    proposed, *answers = ask_bash(
        [["-"]]
        # After an option and its value the next option is proposed, but
        # nothing after an option without one and PROGRAM.
        + [[word, "x", "--hel"] for word in every]
        + [[*words, ""] for words in choices]
        # bash takes a value that follows at once for a word.
        + [[word, "=", "x", "--hel"] for word, *_ in choices])
    if sorted(proposed) != sorted(every):
        yield f"bash: proposes {proposed}, in --help are {every}"
    for word, answer in zip(every, answers):
        if (answer == ["--help"]) != (word in takes):
            yield f"bash: wrong about whether {word} takes a value"
    del answers[:len(every)]
    for (words, values), answer in zip(choices.items(), answers):
        if answer != values:
            yield (f"bash: {''.join(words)} takes {values}, but it proposes"
                   f" {answer}")
    for (word, *_), answer in zip(choices, answers[len(choices):]):
        if answer != ["--help"]:
            yield f"bash: does not know where the value of {word}= ends"


def refused_differences():
    """Tell which option the manual wrongly calls not yet supported."""
    text = section("CAVEATS").partition("Not yet supported")[2]
    flags = [flag for line in re.findall(r"^\.(?:Pq )?(Fl .*)$", text,
                                         re.MULTILINE)
             for flag in spellings(re.sub(r" [.]$", "", line))]
    if not flags:
        yield "manual: tells nothing of what is not yet supported"
    for flag in flags:
        if "is not yet supported" not in nsntrace(flag).stderr:
            yield f"manual: calls {flag} not yet supported, but it is"


def main():
    expected = in_help()
    if ("-o", "-w", "--outfile") not in expected:
        sys.exit("--help has no --outfile: is this nsntrace?")
    anonymous = {option: argument and re.sub("[^=]+", "x", argument)
                 for option, argument in expected.items()}

    findings = [
        *differences("manual", in_manual(), expected),
        *differences("zsh", in_zsh(), expected),
        *differences("fish", in_fish(), anonymous),
        *bash_differences(expected),
        *refused_differences(),
    ]
    for finding in findings:
        print(finding)
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
