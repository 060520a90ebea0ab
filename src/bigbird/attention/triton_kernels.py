"""The Triton kernels that `triton_launch` launches: forward and backward over lists of blocks. Imported late.

Names. A row is a query block in the forward pass and for the gradient of queries, a key block for the gradients of keys
and values; its entries are the blocks it meets. An item is a piece of a row's entries, [row, first, last, part]: part
is -1 when it is the whole row, else where its result waits to be added to those of the row's other pieces, in order. A
row of -1 is filling. A fold is one batch element and head (one batch element, where heads have lists of their own). A
tile is what is loaded at once of the other side: TILE tokens, one block, several of a list, or a part of one.

Each program does ROWS tokens of one item from end to end and writes what no other writes, so nothing depends on who
comes first.

A score is factor * q . k + log2 count with factor = scale * log2 e, so that weights are powers of two. `softmax` is two
planes: the largest score of each query, and 1 / (sum of 2^(score - largest)), 0 for a query that sees nothing.
"""

from __future__ import annotations

import triton
import triton.language as tl

NOTHING_YET = tl.constexpr(-3.0e38)  # finite, so that a difference of two largest scores is never NaN

# Values that differ from call to call; compiling anew for each would gain nothing.
_VARIABLE = ["num_items", "num_merges", "num_parts", "num_heads", "num_blocks", "plane", "query_length", "key_length"]
_VARIABLE += ["length", "factor", "scale"]


@triton.jit
def _item(items, num_items):
    """This program's fold and item: [row, first, last, part]."""
    fold, item = tl.program_id(0) // num_items, items + (tl.program_id(0) % num_items) * 4
    return fold, tl.load(item), tl.load(item + 1), tl.load(item + 2), tl.load(item + 3)


@triton.jit
def _merge(merges, num_merges):
    """This program's fold and merge: [row, first part, number of parts]."""
    fold, merge = tl.program_id(0) // num_merges, merges + (tl.program_id(0) % num_merges) * 3
    return fold, tl.load(merge), tl.load(merge + 1), tl.load(merge + 2)


@triton.jit
def _place(row, fold, num_heads, num_blocks, HEADS_SHARE: tl.constexpr):
    """Batch element, head and block of a row of this fold."""
    if HEADS_SHARE:
        batch, head, block = fold // num_heads, fold % num_heads, row
    else:
        batch, head, block = fold, row // num_blocks, row % num_blocks
    return batch.to(tl.int64), head.to(tl.int64), block


@triton.jit
def _tile(step, last, blocks, BLOCK: tl.constexpr, TILE: tl.constexpr):
    """The tokens of a tile, the entry each belongs to, and whether that entry is still in the list.

    Behind its end the list's last block is repeated: another could hold NaN, and 0 * NaN is NaN.
    """
    lane = tl.arange(0, TILE)
    if TILE <= BLOCK:  # step counts tiles
        entry = step // (BLOCK // TILE)
        tokens = tl.load(blocks + entry) * BLOCK + step % (BLOCK // TILE) * TILE + lane
        entries = tl.full([TILE], 0, tl.int32) + entry
        is_listed = lane >= 0  # always, and the compiler sees it
    else:  # step counts entries
        entries = tl.minimum(step + lane // BLOCK, last - 1)
        is_listed = step + lane // BLOCK < last
        if TILE == 2 * BLOCK:  # two scalars take fewer registers and barriers than a vector
            second = tl.load(blocks + tl.minimum(step + 1, last - 1))
            tokens = tl.where(lane < BLOCK, tl.load(blocks + step), second) * BLOCK + lane % BLOCK
        else:
            tokens = tl.load(blocks + entries) * BLOCK + lane % BLOCK
    return tokens, entries, is_listed


@triton.jit
def _matrix(pointer, tokens, stride, is_real, ALL: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr):
    """[tokens, BLOCK_D]; 0 where not real: nothing is read there, so nothing there is ever multiplied."""
    columns = tl.arange(0, BLOCK_D)
    place = pointer + tokens.to(tl.int64)[:, None] * stride + columns[None, :]
    if ALL and HEAD_DIM == BLOCK_D:
        matrix = tl.load(place)
    elif ALL:
        matrix = tl.load(place, mask=(columns < HEAD_DIM)[None, :], other=0.0)
    elif HEAD_DIM == BLOCK_D:
        matrix = tl.load(place, mask=is_real[:, None], other=0.0)
    else:
        matrix = tl.load(place, mask=is_real[:, None] & (columns < HEAD_DIM)[None, :], other=0.0)
    return matrix


@triton.jit
def _store(pointer, tokens, stride, is_wanted, value, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr):
    columns = tl.arange(0, BLOCK_D)
    mask = is_wanted[:, None] & (columns < HEAD_DIM)[None, :]
    place = pointer + tokens.to(tl.int64)[:, None] * stride + columns[None, :]
    tl.store(place, value.to(pointer.dtype.element_ty), mask=mask)


@triton.jit
def _cells(part, rows, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr):
    """Where rows of a part's matrix lie."""
    return part * (BLOCK * BLOCK_D) + rows[:, None] * BLOCK_D + tl.arange(0, BLOCK_D)[None, :]


@triton.jit
def _real(key_mask, keys, is_listed, key_length, ALL_KEYS: tl.constexpr, HAS_MASK: tl.constexpr):
    """True where a key is listed, within the document and not masked."""
    is_real = is_listed
    if not ALL_KEYS:
        is_real = is_real & (keys < key_length)
    if HAS_MASK:
        is_real = is_real & (tl.load(key_mask + keys, mask=is_real, other=0) != 0)
    return is_real


@triton.jit
def _weight(product, factor, log2_counts, entries, top, HAS_COUNTS: tl.constexpr):
    """2^(score - top), by the same operations forward and backward, so that a query's slopes cancel as they should.

    Without counts it is one operation to ptxas; spelt as fma, the negated tops would take registers.
    """
    score = product * factor
    if HAS_COUNTS:
        score = tl.fma(product, factor, tl.load(log2_counts + entries)[None, :])
    return tl.exp2(score - top)


@triton.jit(do_not_specialize=_VARIABLE)
def attend(
    q, k, v, out, softmax, parts, part_tops, part_sums, items, blocks, log2_counts, key_mask,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row, out_batch, out_head, out_row,
    num_items, num_parts, num_heads, num_blocks, plane, query_length, key_length, factor,
    HEADS_SHARE: tl.constexpr, HAS_COUNTS: tl.constexpr, ALL_KEYS: tl.constexpr, HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Output and softmax of a query block; of a piece of one its weighted sum, largest score and sum of weights."""
    fold, row, first, last, part = _item(items, num_items)
    if row < 0:
        return
    batch, head, block = _place(row, fold, num_heads, num_blocks, HEADS_SHARE)
    k += batch * k_batch + head * k_head
    v += batch * v_batch + head * v_head
    key_mask += batch * key_length
    inside = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # of the block
    queries = block * BLOCK + inside
    is_query = queries < query_length
    query = _matrix(q + batch * q_batch + head * q_head, queries, q_row, is_query, False, HEAD_DIM, BLOCK_D)
    top = tl.full([ROWS], NOTHING_YET, tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    weighted = tl.zeros([ROWS, BLOCK_D], tl.float32)
    TILES: tl.constexpr = max(1, BLOCK // TILE)  # of a block
    for step in range(first * TILES, last * TILES, max(1, TILE // BLOCK)):
        keys, entries, is_listed = _tile(step, last, blocks, BLOCK, TILE)
        is_real = _real(key_mask, keys, is_listed, key_length, ALL_KEYS, HAS_MASK)
        key = _matrix(k, keys, k_row, is_real, ALL_KEYS, HEAD_DIM, BLOCK_D)
        product = tl.dot(query, tl.trans(key), input_precision=PRECISION)
        score = product * factor
        if HAS_COUNTS:
            score += tl.load(log2_counts + entries)[None, :]
        higher = tl.maximum(top, tl.max(tl.where(is_real[None, :], score, float("-inf")), 1))
        weight = _weight(product, factor, log2_counts, entries, higher[:, None], HAS_COUNTS)
        weight = tl.where(is_real[None, :], weight, 0.0)
        fading = tl.exp2(top - higher)
        top = higher
        total = total * fading + tl.sum(weight, 1)
        value = _matrix(v, keys, v_row, is_real, ALL_KEYS, HEAD_DIM, BLOCK_D)
        weighted = tl.dot(weight.to(value.dtype), value, weighted * fading[:, None], input_precision=PRECISION)
    if part < 0:
        inverse = tl.where(total == 0, 0.0, 1.0 / tl.where(total == 0, 1.0, total))
        softmax += (batch * num_heads + head) * query_length
        tl.store(softmax + queries, top, mask=is_query)
        tl.store(softmax + plane + queries, inverse, mask=is_query)
        out += batch * out_batch + head * out_head
        _store(out, queries, out_row, is_query, weighted * inverse[:, None], HEAD_DIM, BLOCK_D)
    else:
        place = (fold * num_parts + part).to(tl.int64)
        tl.store(part_tops + place * BLOCK + inside, top)
        tl.store(part_sums + place * BLOCK + inside, total)
        tl.store(parts + _cells(place, inside, BLOCK, BLOCK_D), weighted)


@triton.jit(do_not_specialize=_VARIABLE)
def merge_attended(
    out, softmax, parts, part_tops, part_sums, merges, out_batch, out_head, out_row,
    num_merges, num_parts, num_heads, num_blocks, plane, query_length,
    HEADS_SHARE: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Joins the pieces of a long row, for ROWS of its queries; merges: [row, first part, number of parts]."""
    fold, row, first, count = _merge(merges, num_merges)
    if row < 0:
        return
    batch, head, block = _place(row, fold, num_heads, num_blocks, HEADS_SHARE)
    inside = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    place = (fold * num_parts + first).to(tl.int64)
    top = tl.full([ROWS], NOTHING_YET, tl.float32)
    for number in range(count):
        top = tl.maximum(top, tl.load(part_tops + (place + number) * BLOCK + inside))
    total = tl.zeros([ROWS], tl.float32)
    weighted = tl.zeros([ROWS, BLOCK_D], tl.float32)
    for number in range(count):
        share = tl.exp2(tl.load(part_tops + (place + number) * BLOCK + inside) - top)
        total += share * tl.load(part_sums + (place + number) * BLOCK + inside)
        weighted += share[:, None] * tl.load(parts + _cells(place + number, inside, BLOCK, BLOCK_D))
    queries = block * BLOCK + inside
    is_query = queries < query_length
    inverse = tl.where(total == 0, 0.0, 1.0 / tl.where(total == 0, 1.0, total))
    softmax += (batch * num_heads + head) * query_length
    tl.store(softmax + queries, top, mask=is_query)
    tl.store(softmax + plane + queries, inverse, mask=is_query)
    out += batch * out_batch + head * out_head
    _store(out, queries, out_row, is_query, weighted * inverse[:, None], HEAD_DIM, BLOCK_D)


@triton.jit(do_not_specialize=_VARIABLE)
def dot_rows(
    out, grad_out, delta, out_batch, out_head, out_row, grad_batch, grad_head, grad_row, num_heads, query_length,
    ROWS: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The sum of out * grad_out over the head's dimensions, for ROWS queries."""
    tiles = tl.cdiv(query_length, ROWS)
    fold, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    batch, head = (fold // num_heads).to(tl.int64), (fold % num_heads).to(tl.int64)
    queries = tile * ROWS + tl.arange(0, ROWS)
    is_query = queries < query_length
    left = _matrix(out + batch * out_batch + head * out_head, queries, out_row, is_query, False, HEAD_DIM, BLOCK_D)
    grad_out += batch * grad_batch + head * grad_head
    right = _matrix(grad_out, queries, grad_row, is_query, False, HEAD_DIM, BLOCK_D)
    product = tl.sum(left.to(tl.float32) * right.to(tl.float32), 1)
    tl.store(delta + (batch * num_heads + head) * query_length + queries, product, mask=is_query)


@triton.jit(do_not_specialize=_VARIABLE)
def query_gradient(
    q, k, v, grad_out, grad_q, softmax, delta, parts, items, blocks, log2_counts, key_mask,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    grad_batch, grad_head, grad_row, gq_batch, gq_head, gq_row,
    num_items, num_parts, num_heads, num_blocks, plane, query_length, key_length, factor, scale,
    HEADS_SHARE: tl.constexpr, HAS_COUNTS: tl.constexpr, ALL_KEYS: tl.constexpr, HAS_MASK: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradient of the queries of one query block, or a piece's part of it before scaling."""
    fold, row, first, last, part = _item(items, num_items)
    if row < 0:
        return
    batch, head, block = _place(row, fold, num_heads, num_blocks, HEADS_SHARE)
    k += batch * k_batch + head * k_head
    v += batch * v_batch + head * v_head
    key_mask += batch * key_length
    inside = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # of the block
    queries = block * BLOCK + inside
    is_query = queries < query_length
    query = _matrix(q + batch * q_batch + head * q_head, queries, q_row, is_query, False, HEAD_DIM, BLOCK_D)
    grad_out += batch * grad_batch + head * grad_head
    grad = _matrix(grad_out, queries, grad_row, is_query, False, HEAD_DIM, BLOCK_D)
    places = (batch * num_heads + head) * query_length + queries
    top = tl.load(softmax + places, mask=is_query, other=0.0)[:, None]
    inverse = tl.load(softmax + plane + places, mask=is_query, other=0.0)[:, None]
    mean = tl.load(delta + places, mask=is_query, other=0.0)[:, None]
    result = tl.zeros([ROWS, BLOCK_D], tl.float32)
    TILES: tl.constexpr = max(1, BLOCK // TILE)  # of a block
    for step in range(first * TILES, last * TILES, max(1, TILE // BLOCK)):
        keys, entries, is_listed = _tile(step, last, blocks, BLOCK, TILE)
        is_real = _real(key_mask, keys, is_listed, key_length, ALL_KEYS, HAS_MASK)
        key = _matrix(k, keys, k_row, is_real, ALL_KEYS, HEAD_DIM, BLOCK_D)
        product = tl.dot(query, tl.trans(key), input_precision=PRECISION)
        weight = _weight(product, factor, log2_counts, entries, top, HAS_COUNTS) * inverse
        value = _matrix(v, keys, v_row, is_real, ALL_KEYS, HEAD_DIM, BLOCK_D)
        slope = weight * (tl.dot(grad, tl.trans(value), input_precision=PRECISION) - mean)
        slope = tl.where(is_real[None, :], slope, 0.0)
        result = tl.dot(slope.to(key.dtype), key, result, input_precision=PRECISION)
    if part < 0:
        grad_q += batch * gq_batch + head * gq_head
        _store(grad_q, queries, gq_row, is_query, result * scale, HEAD_DIM, BLOCK_D)
    else:
        tl.store(parts + _cells((fold * num_parts + part).to(tl.int64), inside, BLOCK, BLOCK_D), result)


@triton.jit(do_not_specialize=_VARIABLE)
def key_value_gradient(
    q, k, v, grad_out, grad_k, grad_v, softmax, delta, key_parts, value_parts, items, blocks, log2_counts, key_mask,
    q_batch, q_head, q_row, k_batch, k_head, k_row, v_batch, v_head, v_row,
    grad_batch, grad_head, grad_row, gk_batch, gk_head, gk_row, gv_batch, gv_head, gv_row,
    num_items, num_parts, num_heads, num_blocks, plane, query_length, key_length, factor, scale,
    HEADS_SHARE: tl.constexpr, HAS_COUNTS: tl.constexpr, ALL_KEYS: tl.constexpr, HAS_MASK: tl.constexpr,
    ALL_QUERIES: tl.constexpr,
    BLOCK: tl.constexpr, ROWS: tl.constexpr, TILE: tl.constexpr, HEAD_DIM: tl.constexpr, BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the keys and values of one key block, or a piece's parts of them; the lists are the transposed."""
    fold, row, first, last, part = _item(items, num_items)
    if row < 0:
        return
    batch, head, block = _place(row, fold, num_heads, num_blocks, HEADS_SHARE)
    q += batch * q_batch + head * q_head
    grad_out += batch * grad_batch + head * grad_head
    softmax += (batch * num_heads + head) * query_length
    delta += (batch * num_heads + head) * query_length
    inside = tl.program_id(1) * ROWS + tl.arange(0, ROWS)  # of the block
    keys = block * BLOCK + inside
    is_key = keys < key_length
    is_real = _real(key_mask + batch * key_length, keys, inside >= 0, key_length, ALL_KEYS, HAS_MASK)
    key = _matrix(k + batch * k_batch + head * k_head, keys, k_row, is_real, False, HEAD_DIM, BLOCK_D)
    value = _matrix(v + batch * v_batch + head * v_head, keys, v_row, is_real, False, HEAD_DIM, BLOCK_D)
    key_result = tl.zeros([ROWS, BLOCK_D], tl.float32)
    value_result = tl.zeros([ROWS, BLOCK_D], tl.float32)
    TILES: tl.constexpr = max(1, BLOCK // TILE)  # of a block
    for step in range(first * TILES, last * TILES, max(1, TILE // BLOCK)):
        queries, entries, is_listed = _tile(step, last, blocks, BLOCK, TILE)
        is_query = is_listed if ALL_QUERIES else is_listed & (queries < query_length)
        query = _matrix(q, queries, q_row, is_query, ALL_QUERIES, HEAD_DIM, BLOCK_D)
        product = tl.dot(key, tl.trans(query), input_precision=PRECISION)
        top = tl.load(softmax + queries, mask=is_query | ALL_QUERIES, other=0.0)
        inverse = tl.load(softmax + plane + queries, mask=is_query, other=0.0)
        weight = _weight(product, factor, log2_counts, entries, top[None, :], HAS_COUNTS) * inverse[None, :]
        grad = _matrix(grad_out, queries, grad_row, is_query, ALL_QUERIES, HEAD_DIM, BLOCK_D)
        value_result = tl.dot(weight.to(grad.dtype), grad, value_result, input_precision=PRECISION)
        product = tl.dot(value, tl.trans(grad), input_precision=PRECISION)
        mean = tl.load(delta + queries, mask=is_query, other=0.0)  # after the product: before it, registers spill
        slope = weight * (product - mean[None, :])
        key_result = tl.dot(slope.to(query.dtype), query, key_result, input_precision=PRECISION)
    key_result = tl.where(is_real[:, None], key_result, 0.0)  # whatever a masked key met, NaN included, is not its own
    value_result = tl.where(is_real[:, None], value_result, 0.0)
    if part < 0:
        grad_k += batch * gk_batch + head * gk_head
        grad_v += batch * gv_batch + head * gv_head
        _store(grad_k, keys, gk_row, is_key, key_result * scale, HEAD_DIM, BLOCK_D)
        _store(grad_v, keys, gv_row, is_key, value_result, HEAD_DIM, BLOCK_D)
    else:
        cells = _cells((fold * num_parts + part).to(tl.int64), inside, BLOCK, BLOCK_D)
        tl.store(key_parts + cells, key_result)
        tl.store(value_parts + cells, value_result)


@triton.jit(do_not_specialize=_VARIABLE)
def add_parts(
    result, parts, merges, result_batch, result_head, result_row,
    num_merges, num_parts, num_heads, num_blocks, length, scale,
    HEADS_SHARE: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr, HEAD_DIM: tl.constexpr,
    BLOCK_D: tl.constexpr,
):  # fmt: skip
    """The scaled sum of a long row's parts, in order, for ROWS of its tokens; merges as in `merge_attended`."""
    fold, row, first, count = _merge(merges, num_merges)
    if row < 0:
        return
    batch, head, block = _place(row, fold, num_heads, num_blocks, HEADS_SHARE)
    inside = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    place = (fold * num_parts + first).to(tl.int64)
    total = tl.zeros([ROWS, BLOCK_D], tl.float32)
    for number in range(count):
        total += tl.load(parts + _cells(place + number, inside, BLOCK, BLOCK_D))
    tokens = block * BLOCK + inside
    result += batch * result_batch + head * result_head
    _store(result, tokens, result_row, tokens < length, total * scale, HEAD_DIM, BLOCK_D)
