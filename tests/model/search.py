"""What tests/model/run and tests/model/run_interlock have in common: spin makes a verifier of each variant of a model,
gcc compiles it, it searches everything, and what it found is compared with what was expected. README.md says more.
"""

import argparse
import collections
import concurrent.futures
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MAX_MB = 1024
HASH_BITS = 22  # of the table's index; the table holds every state whatever its size, a larger one only faster
SECONDS_MAX = 100  # of one command
JOBS = min(2, os.cpu_count() or 1)
FOR_EVER = "waits for ever"  # spin: invalid end state
ENDLESS = "runs for ever"  # spin: non-progress cycle

Variant = collections.namedtuple("Variant", "name options caught_by endless")


def true(name, options, endless=False):
    return Variant(name, options.split(), None, endless)


def mutant(name, caught_by, options):
    return Variant("mutant_" + name, ["MUTANT_" + name.upper()] + options.split(), caught_by, False)


# depth_max: steps of one run; a run that needs more fails.
Model = collections.namedtuple("Model", "file depth_max true mutants")
Result = collections.namedtuple("Result", "variant states depth seconds found complaint unreached")


def command(folder, *words):
    done = subprocess.run(words, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS_MAX, check=False)
    return done.returncode, done.stdout


def defines(variant):
    return ["-D" + option for option in variant.options]


def compile_verifier(model, variant, folder):
    """The verifier of one variant, or what spin or gcc said."""
    shutil.copy(os.path.join(HERE, model.file), folder)
    code, said = command(folder, "spin", *defines(variant), "-a", model.file)
    if code != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
        return "spin does not take %s with these options: %s" % (model.file, said.strip())
    search = "-DNP" if variant.endless else "-DSAFETY"
    # Not optimised: most searches take less time than gcc -O1 does.
    code, said = command(folder, "gcc", "-O0", "-w", search, "-DMEMLIM=%d" % MEMORY_MAX_MB, "-o", "pan",
                         "pan.c")
    return None if code == 0 else "gcc does not compile spin's pan.c: " + said.strip()


def what_was_found(said):
    """The name of the error that the verifier stopped at, None without one."""
    violated = re.search(r"^pan:1: assertion violated .*\|\|(\w+)\)", said, re.M)
    if violated:
        return violated.group(1)
    if re.search(r"^pan:1: invalid end state", said, re.M):
        return FOR_EVER
    if re.search(r"^pan:1: non-progress cycle", said, re.M):
        return ENDLESS
    other = re.search(r"^pan:1: (.*)", said, re.M)
    return other.group(1) if other else None


def truncated(said):
    """Why a search without error was not a search of everything, None if it was."""
    if not re.search(r"^Full statespace search for:", said, re.M):
        return "the search was not a full one"
    for words in ("max search depth too small", "Search not completed", "out of memory", "memory limit"):
        if words in said:
            return words
    errors = re.search(r"errors: (\d+)", said)
    if not errors or errors.group(1) != "0":
        return "the verifier does not say 'errors: 0'"
    return None


def unreached_lines(said):
    """{process: {(line, statement)}} that this search never came to; all processes of the variant are keys."""
    processes = {}
    for block in re.split(r"^unreached in (?:proctype|claim) ", said, flags=re.M)[1:]:
        name, rest = block.split("\n", 1)
        lines = re.findall(r"^\t\S+:(\d+), state \d+, \"(.*)\"$", rest.split("\n\t(", 1)[0], re.M)
        processes[name.strip()] = {(int(line), text) for line, text in lines if text != "-end-"}
    return processes


def search(model, variant, folder):
    complaint = compile_verifier(model, variant, folder)
    if complaint:
        return Result(variant, 0, 0, 0.0, None, complaint, {})
    began = time.monotonic()
    _, said = command(folder, "./pan", "-m%d" % model.depth_max, "-w%d" % HASH_BITS,
                      *(["-l"] if variant.endless else []))
    seconds = time.monotonic() - began
    states = re.search(r"(\d+) states, stored", said)
    depth = re.search(r"depth reached (\d+)", said)
    found = what_was_found(said)
    if not states or not depth:
        complaint = "the verifier said nothing of states and depth: " + said.strip()[-500:]
    elif found is None:
        complaint = truncated(said)
    return Result(variant, int(states.group(1)) if states else 0, int(depth.group(1)) if depth else 0, seconds, found,
                  complaint, unreached_lines(said))


def search_in_temporary_folder(model, variant):
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        try:
            return search(model, variant, folder)
        except subprocess.TimeoutExpired as error:
            return Result(variant, 0, 0, float(SECONDS_MAX), None, "%s: no end after %d s" %
                          (error.cmd[0], SECONDS_MAX), {})


def judge(result):
    """(as expected, verdict in words)"""
    wanted = result.variant.caught_by
    if result.complaint:
        return False, "FAILED: " + result.complaint
    if result.found == wanted:
        return True, "caught: " + wanted if wanted else "no error"
    if wanted is None:
        return False, "FAILED: expected no error, found: %s" % result.found
    return False, "FAILED: expected to be caught by: %s, found: %s" % (wanted, result.found or "no error, it PASSED")


def never_reached(results):
    """Statements of the model that no variant of the true protocol came to."""
    common = {}
    for result in results:
        for process, lines in result.unreached.items():
            common[process] = common[process] & lines if process in common else lines
    return sorted((line, process, text) for process, lines in common.items() for line, text in lines)


def run_all(model, variants):
    began = time.monotonic()
    print("%-28s %10s %6s %8s  %s" % ("variant", "states", "depth", "seconds", "verdict"))
    results, failures = [], 0
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for result in pool.map(functools.partial(search_in_temporary_folder, model), variants):
            fine, words = judge(result)
            failures += not fine
            results.append(result)
            print("%-28s %10d %6d %8.2f  %s" % (result.variant.name, result.states, result.depth, result.seconds,
                                               words), flush=True)
    if all(variant in variants for variant in model.true) and failures == 0:
        lines = never_reached([result for result in results if result.variant in model.true])
        for line, process, text in lines:
            print("FAILED: %s:%d: %s: no variant reached: %s" % (model.file, line, process, text))
        failures += len(lines)
        if not lines:
            print("coverage: every statement of every process was reached")
    print("%d variants, %d not as expected, %.1f s" % (len(results), failures, time.monotonic() - began))
    return 1 if failures else 0


def show_trail(model, variant):
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        result = search(model, variant, folder)
        print("%s: %s" % (variant.name, judge(result)[1]))
        if result.found:
            _, said = command(folder, "spin", *defines(variant), "-t", "-p", "-g", model.file)
            print(said)
    return 0 if result.found else 1


def main(model, description, table=None):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--trail", metavar="NAME", help="show the steps to the error of this variant")
    parser.add_argument("--list", action="store_true", help="print the names")
    if table:
        parser.add_argument("--table", metavar="PROGRAM", help="compare the table of states with what PROGRAM prints")
    arguments = parser.parse_args()
    known = {variant.name: variant for variant in model.true + model.mutants}
    for name in arguments.names + ([arguments.trail] if arguments.trail else []):
        if name not in known:
            parser.error("no variant '%s'; --list prints those there are" % name)
    if arguments.list:
        for variant in known.values():
            print("%-28s %s" % (variant.name, " ".join(defines(variant))))
        return 0
    for program in ("spin", "gcc"):
        if not shutil.which(program):
            print("model: %s is not installed; tools/setup installs it" % program, file=sys.stderr)
            return 1
    if table and arguments.table:
        return table(arguments.table)
    if arguments.trail:
        return show_trail(model, known[arguments.trail])
    return run_all(model, [known[name] for name in arguments.names] or model.true + model.mutants)

