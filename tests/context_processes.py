"""Checks that several Gloo processes make together; `outcomes` launches them once and tests read what they found.

python context_processes.py RANK COUNT FOLDER
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F

from bigbird.attention import PatternSpec, context_plan, native_cpu
from bigbird.data.records import Record
from bigbird.tasks import Loss, MaskedLM
from bigbird.training.context import ContextRanks, context_ranks
from context_cases import CASES, document, error, max_error, packed, shared
from helpers import dna, loaded_model


@lru_cache
def outcomes(count):
    """What each check found, by name: one entry per rank."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__]
        processes = [
            subprocess.Popen(
                [*command, str(rank), str(count), folder],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            )
            for rank in range(count)
        ]  # fmt: skip
        said = [process.communicate(timeout=300)[0] for process in processes]
        assert not any(process.returncode for process in processes), "\n\n".join(said)
        found = [json.loads(Path(folder, f"{rank}.json").read_text()) for rank in range(count)]
    return {name: [one[name] for one in found] for name in found[0]}


def attention_checks(rank, count):
    """Largest error of each case, in float64 and float32."""
    for name, make in CASES.items():
        yield f"float64, {name}", error(make(), rank, count)
    for graph in ("paper", "checkpoint"):
        yield f"float32 gathered, {graph}", error(document(graph, 190, masked=0.2, dtype=torch.float32), rank, count)
        if native_cpu.instruction_set():
            made = document(graph, 190, masked=0.2, dtype=torch.float32, backend="native")
            yield f"float32 native, {graph}", error(made, rank, count)
            made = document(graph, 190, masked=0.2, dtype=torch.bfloat16, backend="native")
            yield f"bfloat16 native, {graph}", times_the_error_of_one_process(made, rank, count)


def times_the_error_of_one_process(made, rank, count):
    """Against float64 on the same numbers: the largest ratio over out, dq, dk and dv."""
    exact = replace(
        made, backend="gathered", **{name: getattr(made, name).double() for name in ("q", "k", "v", "grad_out")}
    )
    found, of_one = shared(made, rank, count)
    _, right = shared(exact, rank, count)
    return max(
        max_error([x.double() - z]) / (max_error([y.double() - z]) + 1e-3)
        for x, y, z in zip(found, of_one, right, strict=True)
    )


def bytes_moved(rank, count):
    """What a forward and backward pass receives and sends, and what the plan says: for each of the four exchanges."""
    made = document("paper", 300, batch=2, dtype=torch.float32)
    moved, call = [], dist.all_to_all_single

    def counted(arrived, message, in_sizes, out_sizes, group):
        moved.append([sum(in_sizes), sum(out_sizes)])
        return call(arrived, message, in_sizes, out_sizes, group=group)

    dist.all_to_all_single = counted
    shared(made, rank, count)
    dist.all_to_all_single = call
    plan = context_plan(made.pattern, rank=rank, num_ranks=count)
    keys, queries = (torch.tensor([sum(x.received_counts), sum(x.sent_counts)]) for x in (plan.keys, plan.queries))
    numbers = 2 * 8  # of a tile's feature: batch, block_size; 8 features
    out, home = (2 * keys + queries) * 8, queries.flip(0) * (8 + 1)
    back, gradients = queries * (8 + 8 + 1), (queries.flip(0) + 2 * keys.flip(0)) * 8
    return moved, [(4 * numbers * x).tolist() for x in (out, home, back, gradients)]


def repeats(rank, count):
    """True when a second run gives the same bits."""
    made = packed((190, 30), dtype=torch.float32)
    first, second = (shared(made, rank, count)[0] for _ in range(2))
    return all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


def batch_of(loaded, lengths, *, step=0):
    """Records of single bases, hidden tokens drawn anew each step."""
    records = [
        Record(name=f"{index}", sequence=dna(length, index), labels=(), spans=(), draw=100 * step + index)
        for index, length in enumerate(lengths)
    ]
    examples = [x for record in records for x in loaded.task.encode(record, loaded.tokenizer, purpose="train")]
    return loaded.task.collate(examples, block_size=loaded.encoder.pattern.block_size)


def learn(loaded, batch, context):
    """Loss and number of hidden tokens, summed over the group; gradients are left in the model."""
    model = loaded.model
    model.zero_grad()
    loss = loaded.task.loss(model, context.shard(batch))
    loss.total.backward()
    context.sum_gradients(model)
    total, num_targets = context.summed(loss)
    return total, num_targets


def every_token(model, batch, context):
    """Loss of guessing every token, which stays float64, and its gradients."""
    model.zero_grad()
    part = context.shard(batch)
    logits = part.layout.unpack(model(part.token_ids, part.layout))
    each = F.cross_entropy(logits, part.targets.long(), reduction="none")
    loss = Loss(each.sum(), torch.tensor(len(each)))
    loss.total.backward()
    context.sum_gradients(model)
    total, num_targets = context.summed(loss)
    return [total / num_targets, *(parameter.grad / num_targets for parameter in model.parameters())]


def model_checks(rank, count):
    """Largest difference of loss and gradients in float64."""
    context = context_ranks(rank=rank, count=count, num_parts=count)
    models = {
        "rotary, pre-norm": {},
        "learned, post-norm, checkpoint": {
            "positions": "learned",
            "norm": "post",
            "pattern": PatternSpec(block_size=16, graph="checkpoint"),
        },
    }
    for name, changes in models.items():
        loaded = loaded_model(MaskedLM(max_length=400), dropout=0.0, **changes)
        loaded.model.double().train()
        for lengths in ((300, 90, 20), (40,), (3,)):
            alone, shared = (every_token(loaded.model, batch_of(loaded, lengths), x) for x in (ContextRanks(), context))
            yield f"model, {name}, {lengths}", max_error([x - y for x, y in zip(alone, shared, strict=True)])


def losses(context):
    """Of several optimizer steps in float32."""
    loaded = loaded_model(MaskedLM(max_length=400), dropout=0.0)
    loaded.model.train()
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=1e-2)
    found = []
    for step in range(6):
        total, num_targets = learn(loaded, batch_of(loaded, (300, 90), step=step), context)
        for parameter in loaded.model.parameters():
            parameter.grad /= num_targets
        optimizer.step()
        found.append(float(total / num_targets))
    return found


def training_checks(rank, count):
    """The largest difference of losses, and what they are."""
    alone, shared = losses(ContextRanks()), losses(context_ranks(rank=rank, count=count, num_parts=count))
    yield "losses", alone
    yield "losses differ", max(abs(x - y) for x, y in zip(alone, shared, strict=True))


def teams(rank, count):
    """Two parts to a row: the team, the part and the sum over the group of the numbers of its processes."""
    context = context_ranks(rank=rank, count=count, num_parts=2)
    total = torch.tensor(rank)
    dist.all_reduce(total, group=context.group)
    return [context.team, context.num_teams, context.part, context.num_parts, int(total)]


def main():
    rank, count, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    found = dict(attention_checks(rank, count))
    found |= dict(model_checks(rank, count)) | dict(training_checks(rank, count))
    found["bytes"] = bytes_moved(rank, count)
    found["repeats"], found["teams"] = repeats(rank, count), teams(rank, count)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    dist.barrier()
    os._exit(0)  # PyTorch 2.13 once aborted here while it took Gloo down, all work done


if __name__ == "__main__":
    main()
