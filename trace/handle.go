package trace

import (
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	"skep/schema"
)

// handleControl handles a record of the control ring.
func (r *run) handleControl(record []byte) {
	id := binary.NativeEndian.Uint32(record)
	if int(id) < len(r.events) {
		r.handleEvent(&r.events[id], record)
		r.out.recordDone()
	}
}

// handleEvent does what an event asks for.
func (r *run) handleEvent(e *event, record []byte) {
	v := r.values
	v.decode(e, record)
	number := func(i int) int64 {
		if i >= len(v.args) {
			return 0
		}
		return v.number(&v.args[i])
	}
	switch e.schema.Kind {
	case schema.Printf:
		if !e.schema.TextOnly || !r.opt.JSON {
			r.sink.printf(e)
		}
	case schema.PrintValue:
		r.sink.value(e)
	case schema.Errorf, schema.Warnf:
		r.erred = r.erred || e.schema.Kind == schema.Errorf
		if e.schema.Kind == schema.Errorf || !r.opt.NoWarnings {
			r.sink.report(e, v.appendFormat(nil, e))
		}
	case schema.Time, schema.Strftime:
		format := e.schema.Format
		if format == "" {
			format = "%H:%M:%S\n"
		}
		r.sink.text(schema.Time, appendStrftime(nil, format, r.now(), false))
	case schema.Join:
		var text []byte
		for i := range v.args {
			if i > 0 {
				text = append(text, e.schema.Format...)
			}
			text = v.appendArg(text, &v.args[i])
		}
		r.sink.text(schema.Join, text)
	case schema.Cat:
		r.cat(string(v.appendRaw(nil, e)))
	case schema.System:
		r.system(string(v.appendRaw(nil, e)))
	case schema.PrintMap:
		if r.late() {
			r.unshown++
			return
		}
		if e.schema.View != nil {
			r.printView(e)
			return
		}
		r.printMap(e.schema.Map, printMapOptions{top: number(0), div: number(1)})
	case schema.DNSAnswer:
		if len(v.args) > 0 {
			v.hosts.learn(v.args[0].contents())
		}
	case schema.Refresh:
		r.refresh()
	case schema.ClearMap:
		r.clearMap(e.schema.Map)
	case schema.ZeroMap:
		r.zeroMap(e.schema.Map)
	case schema.Exit:
		if !r.exited {
			r.exited, r.exitGiven, r.exitCode = true, true, int(number(0))
		}
	case schema.RunError:
		r.errors.add(int(number(0)), int(int32(number(1))))
	}
}

// defaultCatBytes is how much of a file cat() prints if the configuration does not say.
const defaultCatBytes = 10240

// cat prints the start of a file.
func (r *run) cat(path string) {
	limit := r.script.Config.MaxCatBytes
	if limit <= 0 {
		limit = defaultCatBytes
	}
	text := r.opt.answer("cat", path, func() string {
		content, err := readStart(path, limit)
		if err != nil {
			return "-" + errorText(err)
		}
		return "+" + string(content)
	})
	content, ok := strings.CutPrefix(text, "+")
	if !ok {
		r.message(fmt.Sprintf("ERROR: failed to open file '%s' (%s)", path, strings.TrimPrefix(text, "-")))
		return
	}
	r.sink.text(schema.Cat, []byte(content))
}

// readStart reads the start of a file. One that would make the reader wait, such as a FIFO, is not waited for.
func readStart(path string, limit int) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, limit)
	n := 0
	for n < limit {
		m, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}

// errorText is an error of the system as C programs say it.
func errorText(err error) string {
	if e, ok := err.(syscall.Errno); ok {
		return schema.ErrnoText(int(e))
	}
	return err.Error()
}
