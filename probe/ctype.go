package probe

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// listTypes writes the kernel's types whose tag and name match.
func (c *Catalog) listTypes(w *bufio.Writer, tag, pattern string, whole bool) (n int, err error) {
	spec, err := c.BTF()
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for t, err := range spec.All() {
		if err != nil {
			return n, err
		}
		name := t.TypeName()
		if name == "" || TypeTag(t) != tag || !Glob(pattern, name) || seen[name] {
			continue
		}
		seen[name] = true
		n++
		if !whole {
			fmt.Fprintf(w, "%s %s\n", tag, name)
			continue
		}
		w.WriteString("vmlinux: ")
		define(w, t)
		w.WriteString("\n")
	}
	return n, nil
}

// TypeTag is the word of C before the name of a type, "struct", "union" or "enum", and nothing for other types.
func TypeTag(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Enum:
		return "enum"
	}
	return ""
}

// define writes a definition in C.
func define(w *bufio.Writer, t btf.Type) {
	fmt.Fprintf(w, "%s %s {\n", TypeTag(t), t.TypeName())
	switch t := t.(type) {
	case *btf.Struct:
		defineMembers(w, t.Members, 1)
	case *btf.Union:
		defineMembers(w, t.Members, 1)
	case *btf.Enum:
		for _, v := range t.Values {
			if t.Signed {
				fmt.Fprintf(w, "\t%s = %d,\n", v.Name, int64(v.Value))
			} else {
				fmt.Fprintf(w, "\t%s = %d,\n", v.Name, v.Value)
			}
		}
	}
	w.WriteString("};\n")
}

func defineMembers(w *bufio.Writer, members []btf.Member, depth int) {
	indent := strings.Repeat("\t", depth)
	for _, m := range members {
		inner, inline := m.Type, false
		if tag := TypeTag(inner); tag != "" && inner.TypeName() == "" {
			inline = true
		}
		if inline && depth < 16 {
			fmt.Fprintf(w, "%s%s {\n", indent, TypeTag(inner))
			switch t := inner.(type) {
			case *btf.Struct:
				defineMembers(w, t.Members, depth+1)
			case *btf.Union:
				defineMembers(w, t.Members, depth+1)
			}
			fmt.Fprintf(w, "%s}", indent)
			if m.Name != "" {
				fmt.Fprintf(w, " %s", m.Name)
			}
			w.WriteString(";\n")
			continue
		}
		fmt.Fprintf(w, "%s%s", indent, declare(m.Type, m.Name))
		if m.BitfieldSize > 0 {
			fmt.Fprintf(w, " : %d", m.BitfieldSize)
		}
		w.WriteString(";\n")
	}
}

// declare writes the declaration of a name in C.
func declare(t btf.Type, name string) string {
	switch t := t.(type) {
	case *btf.Pointer:
		if proto, ok := skipQualifiers(t.Target).(*btf.FuncProto); ok {
			var params []string
			for _, p := range proto.Params {
				params = append(params, declare(p.Type, ""))
			}
			return declare(proto.Return, "(*"+name+")("+strings.Join(params, ", ")+")")
		}
		if _, ok := skipQualifiers(t.Target).(*btf.Array); ok {
			return declare(t.Target, "(*"+name+")")
		}
		return declare(t.Target, "*"+name)
	case *btf.Array:
		return declare(t.Type, fmt.Sprintf("%s[%d]", name, t.Nelems))
	case *btf.Const:
		return "const " + declare(t.Type, name)
	case *btf.Volatile:
		return "volatile " + declare(t.Type, name)
	case *btf.Restrict:
		return declare(t.Type, name)
	case *btf.TypeTag:
		return declare(t.Type, name)
	}
	return strings.TrimRight(typeName(t)+" "+name, " ")
}

func skipQualifiers(t btf.Type) btf.Type {
	for {
		switch q := t.(type) {
		case *btf.Const:
			t = q.Type
		case *btf.Volatile:
			t = q.Type
		case *btf.Restrict:
			t = q.Type
		case *btf.TypeTag:
			t = q.Type
		default:
			return t
		}
	}
}

func typeName(t btf.Type) string {
	switch t := t.(type) {
	case nil, *btf.Void:
		return "void"
	case *btf.Fwd:
		return t.Kind.String() + " " + t.Name
	}
	name := t.TypeName()
	if tag := TypeTag(t); tag != "" {
		if name == "" {
			return tag + " {…}"
		}
		return tag + " " + name
	}
	if name == "" {
		return "?"
	}
	return name
}
