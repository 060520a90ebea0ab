"""Question answering and summaries as pipelines of transformers; answers are held against every span there is."""

import itertools
import json
import math
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tokenizers.normalizers import BertNormalizer
from tokenizers.processors import RobertaProcessing

from bigbird import EncoderConfig, PatternSpec
from bigbird.errors import ConfigError, DataError
from bigbird.model.published_heads import SpanReader

transformers = pytest.importorskip("transformers")

import bigbird.interop.transformers_pipelines  # noqa: E402, F401 - registers the pipelines
from bigbird.interop.transformers_models import from_bigbird  # noqa: E402
from bigbird.interop.transformers_windows import longest_input  # noqa: E402
from bigbird.tasks.answers import AnswerWindow, best_answers  # noqa: E402
from small_tokenizers import WORDS, spaced_tokenizer, word_tokenizer  # noqa: E402

TOKENIZER = word_tokenizer()
LONGEST = 32
QUESTION = "Who sat on the mat?"


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def randomised(model, scale=0.5):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in model.parameters():
            with torch.no_grad():
                parameter.copy_(torch.randn_like(parameter) * scale)
    return model.eval()


SIZES = {
    "vocab_size": len(TOKENIZER),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": LONGEST,
}


def bert():
    return randomised(transformers.BertForQuestionAnswering(transformers.BertConfig(**SIZES)))


def roberta():
    sizes = SIZES | {"max_position_embeddings": LONGEST + 2, "pad_token_id": 1, "type_vocab_size": 1}
    return randomised(transformers.RobertaForQuestionAnswering(transformers.RobertaConfig(**sizes)))


def big_bird():
    config = transformers.BigBirdConfig(**SIZES, attention_type="original_full", sep_token_id=TOKENIZER.sep_token_id)
    return randomised(transformers.BigBirdForQuestionAnswering(config))


def ours(max_length=LONGEST):
    config = EncoderConfig(
        vocab_size=len(TOKENIZER),
        hidden_size=16,
        num_layers=1,
        num_heads=2,
        inner_size=16,
        max_length=max_length,
        num_token_types=2,
        pattern=PatternSpec(block_size=4),
    )
    return from_bigbird(randomised(SpanReader(config, separator_id=TOKENIZER.sep_token_id)))


READERS = {"bert": bert, "roberta": roberta, "big_bird": big_bird, "ours": ours}
EVERY_READER = pytest.mark.parametrize("reader", READERS)


def asker(reader="ours", tokenizer=TOKENIZER, **options):
    model = READERS[reader]() if isinstance(reader, str) else reader
    return transformers.pipeline("bigbird-question-answering", model=model, tokenizer=tokenizer, **options)


def document(num_words, seed=0):
    """Words, blanks of all kinds, signs, and letters of more than one code unit."""
    chance = random.Random(seed)
    gaps = (" ", " ", "  ", "\t", "\r\n", " 🐦 ")
    return "".join(
        chance.choice((word, word.title())) + chance.choice(gaps) for word in chance.choices(WORDS, k=num_words)
    )


def oracle(model, context, *, window, stride, top_k, longest, impossible=False, question=QUESTION):
    """Every span of every window, one by one; windows, types and offsets are put together here by hand."""
    question_ids = TOKENIZER(question, add_special_tokens=False)["input_ids"]
    encoded = TOKENIZER(context, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    cls, sep = TOKENIZER.cls_token_id, TOKENIZER.sep_token_id
    room = window - len(question_ids) - 3
    places = [0] if len(ids) <= room else []
    while not places or places[-1] + room < len(ids):
        places.append(places[-1] + room - stride if places else 0)
    head = [cls, *question_ids, sep]
    logits = []
    for place in places:
        part = ids[place : place + room]
        row = torch.tensor([[*head, *part, sep]])
        types = torch.tensor([[0] * len(head) + [1] * (len(part) + 1)])
        has_types = getattr(model.config, "type_vocab_size", 2) > 1
        with torch.no_grad():
            out = model(row, **({"token_type_ids": types} if has_types else {}))
        logits.append((place, len(part), out.start_logits[0].double().tolist(), out.end_logits[0].double().tolist()))
    totals = [0.0, 0.0]
    for _, count, *both in logits:
        for side in (0, 1):
            seen = both[side][len(head) : len(head) + count] + ([both[side][0]] if impossible else [])
            totals[side] += sum(math.exp(x) for x in seen)
    best = {}
    for place, count, starts, ends in logits:
        for first, last in itertools.product(range(count), repeat=2):
            if first <= last < first + longest:
                score = math.exp(starts[len(head) + first]) / totals[0] * math.exp(ends[len(head) + last]) / totals[1]
                span = (offsets[place + first][0], offsets[place + last][1])
                best[span] = max(score, best.get(span, 0.0))
    if impossible:
        best[0, 0] = min(math.exp(s[0]) / totals[0] * math.exp(e[0]) / totals[1] for _, _, s, e in logits)
    ranked = sorted(best.items(), key=lambda item: -item[1])[:top_k]
    return [{"score": score, "start": a, "end": b, "answer": context[a:b]} for (a, b), score in ranked]


def same(given, expected):
    assert [(a["start"], a["end"], a["answer"]) for a in given] == [
        (a["start"], a["end"], a["answer"]) for a in expected
    ]
    np.testing.assert_allclose([a["score"] for a in given], [a["score"] for a in expected], rtol=1e-4)


@EVERY_READER
@pytest.mark.parametrize("impossible", [False, True])
@pytest.mark.parametrize(("num_words", "stride"), [(8, 4), (23, 4), (24, 4), (100, 4), (100, 0), (61, 22)])
def test_answers_are_the_best_of_all_spans_in_all_windows(reader, impossible, num_words, stride):
    pipe, context = asker(reader), document(num_words)
    given = pipe(
        question=QUESTION,
        context=context,
        stride=stride,
        top_k=12,
        max_answer_length=5,
        handle_impossible_answer=impossible,
    )
    expected = oracle(pipe.model, context, window=LONGEST, stride=stride, top_k=12, longest=5, impossible=impossible)
    same(given, expected)
    assert all(context[answer["start"] : answer["end"]] == answer["answer"] for answer in given)


@EVERY_READER
def test_windows_in_batches_answer_as_one_by_one(reader):
    contexts = [document(10, 1), document(90, 2), document(25, 3), document(40, 4)]
    inputs = [{"question": QUESTION, "context": context} for context in contexts]
    pipe = asker(reader)
    one_by_one = [pipe(example, top_k=3) for example in inputs]
    for batch_size in (1, 3):
        together = pipe(inputs, top_k=3, batch_size=batch_size)
        for given, expected in zip(together, one_by_one, strict=True):
            same(given, expected)


def test_padding_on_the_left_moves_no_answer():
    contexts = [document(10, 1), document(90, 2)]
    inputs = [{"question": QUESTION, "context": context} for context in contexts]
    left = asker(tokenizer=word_tokenizer(padding_side="left"), batch_size=2)
    for given, expected in zip(left(inputs, top_k=3), asker()(inputs, top_k=3), strict=True):
        same(given, expected)


def test_a_document_that_fits_is_read_in_one_piece_at_any_length():
    model = ours(2048)
    seen = []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs["input_ids"].shape), with_kwargs=True)
    asker(model)(question=QUESTION, context=document(1500))
    assert len(seen) == 1
    assert seen[0][1] > 1500


def test_windows_of_the_default_overlap_see_every_answer_whole():
    pipe, context = asker(ours(60)), document(300)
    every = asker(ours(60))(question=QUESTION, context=context, top_k=10**5, max_answer_length=6)
    ids = TOKENIZER(context, add_special_tokens=False)["input_ids"]
    assert len(every) == sum(min(6, len(ids) - first) for first in range(len(ids)))
    assert len({(a["start"], a["end"]) for a in every}) == len(every)
    same(pipe(question=QUESTION, context=context, max_answer_length=6, top_k=40), every[:40])


def test_top_k_answers_are_distinct_and_as_many_as_there_are():
    given = asker()(question=QUESTION, context="the cat", top_k=10, max_answer_length=2)
    assert sorted(answer["answer"] for answer in given) == ["cat", "the", "the cat"]
    best = asker()(question=QUESTION, context="the cat")
    assert best == max(given, key=lambda answer: answer["score"])


def test_blanks_that_a_tokenizer_counts_to_a_word_are_not_in_the_answer():
    context = "the  cat sat\non a mat"
    given = asker(tokenizer=spaced_tokenizer())(question="who sat", context=context, top_k=50, max_answer_length=3)
    assert all(answer["answer"] == answer["answer"].strip() != "" for answer in given)
    assert all(context[answer["start"] : answer["end"]] == answer["answer"] for answer in given)
    assert len({(answer["start"], answer["end"]) for answer in given}) == len(given)


def window_of(start, end, count, first=1):
    offsets = np.array([(2 * index, 2 * index + 1) for index in range(count)])
    return AnswerWindow(np.array(start, float), np.array(end, float), 0, first, offsets)


def test_logits_far_apart_still_rank_all_answers():
    window = window_of([0, 2000, 0, 0], [0, 0, 0, 2000], 3)
    answers = best_answers("a b c", [window], top_k=10, max_answer_length=3, may_be_impossible=False)
    assert answers[0] == {"score": 1.0, "start": 0, "end": 5, "answer": "a b c"}
    assert len(answers) == 6


def test_an_answer_that_the_model_forbids_is_none():
    window = window_of([0, -np.inf, 0], [0, 0, -np.inf], 2)
    assert best_answers("a b", [window], top_k=5, max_answer_length=2, may_be_impossible=False) == []
    assert best_answers("a b", [window], top_k=5, max_answer_length=2, may_be_impossible=True)[0]["answer"] == ""


def test_no_answer_needs_all_windows_to_have_none():
    sure, unsure = window_of([9, 0, 0], [9, 0, 0], 2), window_of([-9, 0, 0], [-9, 0, 5], 2)
    alone = best_answers("a b", [sure], top_k=1, max_answer_length=2, may_be_impossible=True)
    assert alone[0]["answer"] == ""
    both = best_answers("a b", [sure, unsure], top_k=1, max_answer_length=2, may_be_impossible=True)
    assert both[0]["answer"] != ""


def test_one_question_or_many_in_every_form():
    pipe, context = asker(), document(20)
    one = pipe(question=QUESTION, context=context)
    assert set(one) == {"score", "start", "end", "answer"}
    assert pipe({"question": QUESTION, "context": context}) == one
    assert pipe([{"question": QUESTION, "context": context}] * 2) == [one, one]
    assert pipe(question=[QUESTION, "who ran"], context=context)[0] == one
    assert pipe(question=QUESTION, context=[context, "the dog"])[0] == one
    assert len(pipe(question=[QUESTION, "who ran"], context=[context, "the dog"])) == 2
    assert pipe(({"question": QUESTION, "context": context},)) == [one]
    assert pipe([]) == pipe(()) == pipe(question=[], context=[]) == pipe(question="who", context=[]) == []


def test_threads_that_share_a_pipeline_get_the_answers_of_their_own_documents(monkeypatch):
    pipe, contexts = asker(), [document(count, seed=count) for count in (10, 60, 100)]
    expected = [pipe(question=QUESTION, context=context) for context in contexts]
    setting = TOKENIZER.set_truncation_and_padding

    def slow(**options):
        setting(**options)
        time.sleep(0.002)  # here another thread may set what it wants

    monkeypatch.setattr(TOKENIZER, "set_truncation_and_padding", slow)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda context: pipe(question=QUESTION, context=context), contexts * 5))
    assert found == expected * 5


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error_and_no_answer(number):
    reader = bert()
    with torch.no_grad():
        reader.qa_outputs.bias[1] = number
    with pytest.raises(DataError, match="logits that are no numbers"):
        asker(reader)(question=QUESTION, context="the cat")


def test_options_of_the_pipeline_hold_for_every_call_and_a_call_s_own_win():
    context = document(60)
    pipe = asker(top_k=4, max_answer_length=2, stride=3)
    same(
        pipe(question=QUESTION, context=context),
        asker()(question=QUESTION, context=context, top_k=4, max_answer_length=2, stride=3),
    )
    assert len(pipe(question=QUESTION, context=context, top_k=7)) == 7


def test_a_shorter_window_can_be_asked_for():
    pipe, context = asker(), document(60)
    given = pipe(question=QUESTION, context=context, max_length=20, stride=5, top_k=5, max_answer_length=3)
    same(given, oracle(pipe.model, context, window=20, stride=5, top_k=5, longest=3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"question": " ", "context": "a"}, "the question must be a text with at least one letter, got ' '"),
        ({"question": "who", "context": ""}, "the context must be a text with at least one letter, got ''"),
        ({"question": "who", "context": 5}, "the context must be a text"),
        ({"inputs": "who"}, "an input must be a dict with question and context, got 'who'"),
        ({"question": "who"}, "give question and context, or a dict of the two"),
        ({"inputs": {}, "question": "who"}, "inputs and question or context were both given"),
        ({"question": ["who"] * 2, "context": ["a"]}, "2 questions and 1 contexts were given"),
        ({"question": "cat " * 40, "context": "the cat"}, "the question takes 43 tokens .*, and a window has 32"),
        ({"question": "who", "context": "cat " * 40, "stride": 28}, "stride must be below the 28 tokens of context"),
        ({"question": "who", "context": "cat", "max_length": 33}, "max_length must be at most 32, which the model"),
        ({"question": "who", "context": "cat", "top_k": 0}, "top_k must be a whole number of at least 1, got 0"),
        ({"question": "who", "context": "cat", "top_k": "3"}, "top_k must be a whole number of at least 1, got '3'"),
        ({"question": "who", "context": "cat", "top_k": None}, "top_k must be a whole number of at least 1, got None"),
        ({"question": "who", "context": "cat", "stride": 1.5}, "stride must be a whole number of at least 0, got 1.5"),
        ({"question": "who", "context": "cat", "doc_stride": 2}, "no option 'doc_stride'. Did you mean 'stride'"),
        ({"question": "who", "context": "cat", "max_answer_len": 2}, "Did you mean 'max_answer_length'"),
    ],
)  # fmt: skip
def test_questions_that_cannot_be_asked_are_errors(call, message):
    with pytest.raises((ConfigError, DataError), match=message):
        asker()(**call)


def test_a_context_without_a_token_is_an_error():
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.normalizer = BertNormalizer()  # takes out what cannot be printed
    with pytest.raises(DataError, match="the tokenizer finds no token in the context"):
        asker(tokenizer=tokenizer)(question="who", context="\u0001\u0001")


@pytest.mark.parametrize("names", [["input_ids", "attention_mask"], ["input_ids", "attention_mask", "token_type_ids"]])
def test_types_of_question_and_context_reach_the_model_whatever_a_tokenizer_says_it_gives(names):
    model, seen = bert(), []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    pipe = asker(model, word_tokenizer(model_input_names=names))
    pipe(question="who sat", context="the cat")
    assert seen[0]["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1]]


def test_a_tokenizer_without_types_leaves_them_to_the_model():
    tokenizer = word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = RobertaProcessing(("[SEP]", 3), ("[CLS]", 2))
    model, seen = big_bird(), []
    model.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    asker(model, tokenizer)(question="who sat", context="the cat")
    assert "token_type_ids" not in seen[0]


def test_a_tokenizer_without_offsets_is_an_error():
    class Slow(transformers.PreTrainedTokenizerFast):
        is_fast = False

    slow = Slow(tokenizer_object=TOKENIZER.backend_tokenizer)
    with pytest.raises(ConfigError, match="a tokenizer that knows which characters a token covers"):
        asker(tokenizer=slow)


def test_the_longest_input_is_what_the_position_table_holds():
    assert longest_input(bert(), TOKENIZER) == LONGEST
    assert longest_input(roberta(), TOKENIZER) == LONGEST
    assert longest_input(ours(), TOKENIZER) == LONGEST
    assert longest_input(bert(), word_tokenizer(model_max_length=20)) == 20
    t5 = transformers.T5Config(vocab_size=9, d_model=4, d_kv=2, d_ff=4, num_layers=1, num_heads=2)
    assert longest_input(transformers.T5ForConditionalGeneration(t5), TOKENIZER) is None


def test_pipelines_come_by_name_from_a_folder_and_leave_no_code_in_one(tmp_path):
    context = document(60)
    pipe = asker()
    pipe.save_pretrained(tmp_path)
    assert not list(tmp_path.glob("*.py"))
    assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text())
    again = transformers.pipeline("bigbird-question-answering", str(tmp_path))
    assert again(question=QUESTION, context=context) == pipe(question=QUESTION, context=context)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # PEFT and transformers among themselves
@pytest.mark.parametrize("task", [None, "QUESTION_ANS"])
def test_a_reader_inside_peft_answers_as_alone(task):
    peft = pytest.importorskip("peft")
    context = document(60)
    expected = asker()(question=QUESTION, context=context, top_k=3)
    adapted = peft.get_peft_model(ours(), peft.LoraConfig(task_type=task, r=2, target_modules=["qkv"])).eval()
    same(asker(adapted)(question=QUESTION, context=context, top_k=3), expected)


def test_a_reader_of_half_the_bits_answers():
    context = document(60)
    answer = asker(ours().to(torch.bfloat16))(question=QUESTION, context=context)
    assert context[answer["start"] : answer["end"]] == answer["answer"] != ""
    assert 0 < answer["score"] <= 1


def test_a_model_that_reads_no_answers_is_an_error():
    model = transformers.BertForMaskedLM(transformers.BertConfig(**SIZES))
    with pytest.raises(ConfigError, match="answers need a question-answering model .* got BertForMaskedLM"):
        asker(model)(question=QUESTION, context="the cat")


def pegasus(attention="original_full"):
    config = transformers.BigBirdPegasusConfig(
        vocab_size=len(TOKENIZER), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=LONGEST,
        attention_type=attention, pad_token_id=0, bos_token_id=2, eos_token_id=3, decoder_start_token_id=2,
    )  # fmt: skip
    return randomised(transformers.BigBirdPegasusForConditionalGeneration(config), 0.3)


def shortener(**options):
    return transformers.pipeline("bigbird-summarization", model=pegasus(), tokenizer=TOKENIZER, **options)


def written(model, text, **options):
    encoded = TOKENIZER(text, return_tensors="pt")
    ids = model.generate(encoded["input_ids"], attention_mask=encoded["attention_mask"], **options)
    return TOKENIZER.batch_decode(ids, skip_special_tokens=True)


def test_a_summary_is_what_the_model_generates():
    pipe, text = shortener(), "the cat sat on a mat"
    given = pipe(text, min_length=4, max_length=9)
    assert given == [{"summary_text": written(pipe.model, text, min_length=4, max_length=9)[0]}]
    assert len(TOKENIZER(given[0]["summary_text"], add_special_tokens=False)["input_ids"]) <= 8
    several = pipe(text, max_length=9, num_beams=3, num_return_sequences=3)
    assert [one["summary_text"] for one in several] == written(
        pipe.model, text, max_length=9, num_beams=3, num_return_sequences=3
    )


def test_summaries_of_a_batch_are_those_of_its_documents():
    texts = ["the cat sat on a mat", "a dog ran home , and the bird sang in the tree", "it was a house"]
    pipe = shortener(max_length=9)
    expected = [pipe(text)[0] for text in texts]
    assert pipe(texts) == pipe(tuple(texts)) == expected
    assert pipe([]) == []
    assert pipe(texts, batch_size=2) == expected
    pairs = pipe(texts, batch_size=2, num_beams=2, num_return_sequences=2)
    assert [len(pair) for pair in pairs] == [2, 2, 2]
    assert pairs[2] == pipe(texts[2], num_beams=2, num_return_sequences=2)


def test_what_does_not_fit_is_left_out_with_a_warning_or_refused():
    pipe, words = shortener(max_length=9), ["cat", "dog"] * 20
    with pytest.warns(UserWarning, match="a document of 42 tokens was cut to the 32 that the model reads: 10 tokens"):
        given = pipe(" ".join(words))
    assert given == pipe(" ".join(words[:30]))
    with pytest.raises(DataError, match="a document has 42 tokens, the model reads 32. Shorten it, or set truncation"):
        pipe(" ".join(words), truncation=False)


def test_blanks_before_signs_are_taken_out_on_request():
    pipe = shortener()
    outputs = {"written": torch.tensor([[TOKENIZER("the cat , it sat .")["input_ids"]]])}
    assert pipe.postprocess(outputs, clean_up=True) == [{"summary_text": "the cat, it sat."}]
    assert pipe.postprocess(outputs) == [{"summary_text": "the cat , it sat ."}]


def test_summaries_that_cannot_be_are_errors():
    pipe = shortener()
    with pytest.raises(ConfigError, match="min_length must be at most max_length, got 9 and 5"):
        pipe("the cat", min_length=9, max_length=5)
    with pytest.raises(ConfigError, match="return_dict_in_generate is not served"):
        pipe("the cat", return_dict_in_generate=True)
    with pytest.raises(DataError, match="a document must be a text with at least one letter, got ' '"):
        pipe(" ")
    with pytest.raises(
        ConfigError, match="summaries need a sequence-to-sequence model .* got BertForQuestionAnswering"
    ):
        transformers.pipeline("bigbird-summarization", model=bert(), tokenizer=TOKENIZER)
