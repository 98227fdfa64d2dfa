package tools

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"skep/internal/diag"
)

// check says what is wrong with the text of a value.
func (v Value) check(text string) error {
	if v.List {
		single := v
		single.List = false
		for part := range strings.SplitSeq(text, ",") {
			if err := single.check(part); err != nil {
				return err
			}
		}
		return nil
	}
	if text == "" && v.Kind != Bool {
		return errEmpty
	}
	if first, last, ok := strings.Cut(text, "-"); ok && v.is("PORT") && strings.HasSuffix(v.Meta, "...") {
		// A range, as oneof() takes it.
		from, err1 := strconv.ParseUint(first, 10, 16)
		to, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || from > to {
			return fmt.Errorf("%q is no range of ports, such as 8000-8100", text)
		}
		return nil
	}
	switch v.Kind {
	case Bool:
		if text != bareFlag {
			return errNoValue
		}
	case Integer:
		n, err := strconv.ParseUint(text, 0, 63)
		switch {
		case err != nil:
			return fmt.Errorf("a number is needed, not %q", text)
		case v.is("PORT") && n > 65535:
			return fmt.Errorf("a port is at most 65535, not %s", text)
		case v.is("HZ") && n == 0:
			return errors.New("a frequency of 0 is none")
		case (v.is("PID") || v.is("TID")) && n == 0:
			return errors.New("no process has the number 0")
		}
	case Addition:
		if word, rest, ok := strings.Cut(text, ":"); !ok || rest == "" || !slices.Contains(v.Words, word) {
			return fmt.Errorf("%q is not written %s", text, strings.TrimSuffix(v.Meta, "..."))
		}
	case Choice:
		if !slices.Contains(v.Words, text) {
			err := fmt.Sprintf("%q is none of %s", text, strings.Join(v.Words, ", "))
			if near := diag.Nearest(text, v.Words); near != "" {
				err += "; did you mean " + near + "?"
			}
			return errors.New(err)
		}
	}
	return nil
}

// is compares the name of the value, without the dots of a list.
func (v Value) is(meta string) bool {
	return strings.TrimSuffix(strings.TrimSuffix(v.Meta, "..."), ",") == meta
}

// additions adds to the lists of flags what stands in others.
func (c *command) additions() error {
	for _, flag := range c.tool.Flags {
		if flag.Kind != Addition {
			continue
		}
		for _, text := range c.values[flag.Param].values {
			word, value, _ := strings.Cut(text, ":")
			c.own.Params[word] = strings.TrimPrefix(c.own.Params[word]+","+value, ",")
		}
	}
	return nil
}

// resolve turns names of users into numbers, and paths of disks into names.
func (c *command) resolve(v Value, text string) (string, error) {
	switch v.Kind {
	case Disk:
		return c.machine.disk(text)
	case Errno:
		return errnoOf(text)
	case User:
	default:
		return text, nil
	}
	ids := strings.Split(text, ",")
	for i, name := range ids {
		id, err := c.machine.userID(name)
		if err != nil {
			return "", err
		}
		ids[i] = strconv.FormatUint(uint64(id), 10)
	}
	return strings.Join(ids, ","), nil
}
