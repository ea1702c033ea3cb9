"""A model inside a Python program, by ctypes alone:  python3 embed.py libbd.so MODEL TEXT"""
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_int32, c_size_t, c_uint64, c_void_p


class Options(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("max_tokens", c_size_t), ("seed", c_uint64), ("temperature", c_float),
                ("top_p", c_float), ("min_p", c_float), ("top_k", c_int32), ("repeat_penalty", c_float),
                ("repeat_last", c_size_t), ("stop", POINTER(c_char_p)), ("n_stop", c_size_t),
                ("chat_template", c_char_p), ("no_thinking", c_int32)]


def load(path):
    bd = ctypes.CDLL(path)
    bd.bd_error.restype = c_char_p
    bd.bd_open.restype, bd.bd_open.argtypes = c_void_p, [c_char_p, c_int]
    bd.bd_close.argtypes = [c_void_p]
    bd.bd_session_new.restype, bd.bd_session_new.argtypes = c_void_p, [c_void_p]
    bd.bd_session_free.argtypes = [c_void_p]
    bd.bd_prompt.argtypes = [c_void_p, c_char_p, c_size_t, POINTER(Options)]
    bd.bd_next.argtypes = [c_void_p, POINTER(c_void_p), POINTER(c_size_t)]
    return bd


def pieces(bd, session, prompt, **options):
    """The continuation of prompt, as bytes, piece by piece."""
    o = Options(size=ctypes.sizeof(Options), **options)
    text, n = c_void_p(), c_size_t()
    rc = bd.bd_prompt(session, prompt, len(prompt), byref(o))
    while rc >= 0:
        rc = bd.bd_next(session, byref(text), byref(n))
        if rc == 0:
            return
        if rc > 0:
            yield ctypes.string_at(text, n.value)
    raise RuntimeError(bd.bd_error().decode())


def main():
    bd = load(sys.argv[1])
    model = bd.bd_open(sys.argv[2].encode(), 0)
    session = bd.bd_session_new(model)
    try:
        for piece in pieces(bd, session, sys.argv[3].encode(), max_tokens=24):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.write(b"\n")
    except RuntimeError as error:
        sys.exit(str(error))
    finally:
        bd.bd_session_free(session)
        bd.bd_close(model)


main()
