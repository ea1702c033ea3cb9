#include "base/kind.h"

#include "base/guard.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define PICKLE "a pickle (PyTorch), which is a program and is not loaded; convert it to safetensors"

struct kind {
	const char *mark, *what;
};

/* ---- files ---- */

static const struct kind binary[] = {
    {"version https://git-lfs", "a Git LFS pointer, not the file itself; run git lfs pull in the clone"},
    {"GGUF", "a GGUF file; give it to bd-run, bd-eval or bd-pack -d by its own name"},
    {"ggjt", "a GGML file from before GGUF; convert the original model again"},
    {"tjgg", "a GGML file from before GGUF; convert the original model again"},
    {"lmgg", "a GGML file from before GGUF; convert the original model again"},
    {"\x80\x02", PICKLE},
    {"\x80\x03", PICKLE},
    {"\x80\x04", PICKLE},
    {"\x80\x05", PICKLE},
    {"PK\x03\x04",
     "a ZIP archive, as PyTorch saves (a pickle, which is not loaded); convert it to safetensors"},
    {"\x89HDF", "an HDF5 file (TensorFlow); convert it to safetensors"},
    {"\x1f\x8b", "compressed by gzip; unpack it first"},
    {"\x28\xb5\x2f\xfd", "compressed by zstd; unpack it first"},
};

static const struct kind text[] = {
    {"<!doctype", "a web page, not the file itself; download it again, logged in if the page asks for it"},
    {"<html", "a web page, not the file itself; download it again, logged in if the page asks for it"},
    {"<?xml", "an XML text, such as the error message of a server; download the file again"},
    {"{", "a JSON text"},
};

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

const char *bd_file_kind(const void *p, size_t n)
{
	const char *s = p;

	if (n == 0)
		return "empty; copy or download it again";
	for (size_t i = 0; i < COUNT(binary); i++)
		if (n >= strlen(binary[i].mark) && memcmp(s, binary[i].mark, strlen(binary[i].mark)) == 0)
			return binary[i].what;
	if (n > 9 && s[8] == '{' && memchr(s, '\0', 8) != NULL)
		return "a safetensors file; give the directory that it is in";
	if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		s += 3, n -= 3;
	while (n > 0 && memchr(" \t\r\n", *s, 4) != NULL)
		s++, n--;
	for (size_t i = 0; i < COUNT(text); i++)
		if (n >= strlen(text[i].mark) && strncasecmp(s, text[i].mark, strlen(text[i].mark)) == 0)
			return text[i].what;
	return NULL;
}

/* ---- directories ---- */

/* By the name's end, the most telling first. */
static const struct kind inside[] = {
    {"adapter_config.json", "a LoRA adapter, not a model; merge it into its base model and save the result"},
    {"adapter_model.safetensors",
     "a LoRA adapter, not a model; merge it into its base model and save the result"},
    {"model_index.json", "a pipeline of several models; give the directory of the language model"},
    {"consolidated.safetensors", "a model in the layout of its makers; get the one for transformers"},
    {".gguf", "a GGUF file; give it to bd-run, bd-eval or bd-pack -d by its own name"},
    {".bin", PICKLE},
    {".pth", PICKLE},
    {".pt", PICKLE},
    {".ckpt", PICKLE},
    {".h5", "a TensorFlow model; convert it to safetensors"},
    {".msgpack", "a Flax model; convert it to safetensors"},
    {".onnx", "an ONNX model; get the one for transformers"},
};

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n >= k && strcmp(name + n - k, end) == 0;
}

static void close_dir(void *d, size_t n)
{
	(void)n;
	closedir(d);
}

char *bd_dir_kind(const char *dir)
{
	DIR *d = opendir(dir);
	size_t best = COUNT(inside);
	char *first = NULL, *s;
	struct dirent *e;

	bd_guard_keep(d, 0, close_dir);
	while (d != NULL && (e = readdir(d)) != NULL) {
		size_t i = 0;

		while (i < COUNT(inside) && !ends_in(e->d_name, inside[i].mark))
			i++;
		if (i < best || (i == best && first != NULL && strcmp(e->d_name, first) < 0)) {
			best = i;
			bd_free(first);
			first = bd_strdup(e->d_name);
		}
	}
	bd_guard_drop(d);
	if (d != NULL)
		closedir(d);
	s = first != NULL ? bd_sprintf("%s is %s", first, inside[best].what) : NULL;
	bd_free(first);
	return s;
}
