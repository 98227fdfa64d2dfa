// What the kernel of the relocations looks like.
struct inner { long pad; int y, x; };
struct thing { long pad[3]; struct inner in; short first; char name[16]; unsigned more : 2, flag : 3; };
enum color { RED, GREEN = 8 };
struct thing thing;
enum color color;
