/*
 * What libbpf makes of BTF, for comparison: one verb per call of its interface.
 *
 * Built by the tests against a libbpf of 1.5 or newer; declares what it calls, so that
 * no header of that version is needed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct btf;
struct btf *btf__new(const void *data, unsigned size);
struct btf *btf__new_split(const void *data, unsigned size, struct btf *base);
int btf__dedup(struct btf *btf, const void *opts);
int btf__distill_base(const struct btf *src, struct btf **base, struct btf **split);
int btf__relocate(struct btf *btf, const struct btf *base);
const void *btf__raw_data(const struct btf *btf, unsigned *size);

static void *slurp(const char *path, unsigned *size)
{
	FILE *f = fopen(path, "rb");
	char *data = NULL;
	size_t used = 0, room = 0, got;

	if (!f)
		exit(3);
	do {
		room = room * 2 + 65536;
		data = realloc(data, room);
		got = fread(data + used, 1, room - used, f);
		used += got;
	} while (used == room);
	fclose(f);
	*size = used;
	return data;
}

static struct btf *load(const char *path, struct btf *base)
{
	unsigned size;
	void *data = slurp(path, &size);
	struct btf *btf = base ? btf__new_split(data, size, base) : btf__new(data, size);

	if (!btf) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(4);
	}
	return btf;
}

static void save(const struct btf *btf, const char *path)
{
	unsigned size;
	const void *data = btf__raw_data(btf, &size);
	FILE *f = fopen(path, "wb");

	if (!f || !data || fwrite(data, 1, size, f) != size || fclose(f))
		exit(5);
}

static int done(int err)
{
	if (err)
		fprintf(stderr, "error %d\n", err);
	return err ? 1 : 0;
}

/* VERB OUT... FILE [BASE...], bottom-most base last */
int main(int argc, char **argv)
{
	const char *verb = argv[1];
	struct btf *base = NULL, *btf, *out_base, *out_split;
	int i, err, outs = !strcmp(verb, "distill") ? 2 : 1;
	int targets = !strcmp(verb, "relocate") ? 1 : 0;

	for (i = argc - 1; i > 1 + outs + targets; i--)
		base = load(argv[i], base);
	if (!strcmp(verb, "load"))
		return 0;
	if (!strcmp(verb, "dedup")) {
		btf = base;
		err = btf__dedup(btf, NULL);
		if (!err)
			save(btf, argv[2]);
		return done(err);
	}
	if (!strcmp(verb, "distill")) {
		err = btf__distill_base(base, &out_base, &out_split);
		if (!err) {
			save(out_base, argv[2]);
			save(out_split, argv[3]);
		}
		return done(err);
	}
	if (!strcmp(verb, "relocate")) {
		struct btf *target = load(argv[3], NULL);

		err = btf__relocate(base, target);
		if (!err)
			save(base, argv[2]);
		return done(err);
	}
	return 2;
}
