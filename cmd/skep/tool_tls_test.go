package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skep/internal/ktest"
)

// TestSslsniff listens to both ends of a connection between a client and a server of OpenSSL.
func TestSslsniff(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Uretprobe)
	ktest.Oldest(t)
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("guests have no OpenSSL: the live kernel runs this")
	}
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	if out, err := exec.Command(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
		"-out", cert, "-subj", "/CN=localhost").CombinedOutput(); err != nil {
		t.Fatalf("making a key: %v\n%s", err, out)
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	server := talkTo(t, openssl, "s_server", "-accept", address, "-key", key, "-cert", cert)
	server.hear("ACCEPT")
	client := talkTo(t, openssl, "s_client", "-connect", address, "-quiet")
	client.say("first\n")
	server.hear("first")

	atClient := startSkep(t, "sslsniff", "-p", client.pid(), "--max-buffer-size", "20", "-x")
	atServer := startSkep(t, "sslsniff", "-p", server.pid(), "--json", "-c", "openssl")
	hexadecimal := startSkep(t, "sslsniff", "-p", client.pid(), "--hexdump", "-l", "-u", "root", "-gn")
	others := startSkep(t, "sslsniff", "-p", client.pid(), "-c", "curl")
	client.say("GET / HTTP/1.1\r\n\x1b[2J\n")
	server.hear("\x1b[2J")
	server.say("0123456789 0123456789 0123456789\n")
	client.hear("0123456789 0123456789 0123456789")

	for _, test := range []struct {
		s    *tracer
		want string
	}{
		{atClient, `FUNC         TIME(s)            COMM             PID     LEN    UID     TID
WRITE/SEND   TIME        openssl          PID 21     0       PID
----- DATA -----
GET / HTTP/1.1
\x1b[2J
----- END DATA (TRUNCATED, 1 bytes lost) -----
READ/RECV    TIME        openssl          PID 33     0       PID
----- DATA -----
0123456789 012345678
----- END DATA (TRUNCATED, 13 bytes lost) -----
`},
		{atServer, `{"func":"READ/RECV","time_s":TIME,"comm":"openssl","pid":PID,"len":21,"data":"GET / HTTP/1.1\r\n\u001b[2J\n"}
{"func":"WRITE/SEND","time_s":TIME,"comm":"openssl","pid":PID,"len":33,"data":"0123456789 0123456789 0123456789\n"}
`},
		{hexadecimal, `FUNC         TIME(s)            COMM             PID     LEN    LAT(ms)
WRITE/SEND   TIME        openssl          PID 21     LAT
----- DATA -----
474554202f20485454502f312e310d0a
1b5b324a0a
----- END DATA -----
READ/RECV    TIME        openssl          PID 33     LAT
----- DATA -----
30313233343536373839203031323334
35363738392030313233343536373839
0a
----- END DATA -----
`},
		{others, "FUNC         TIME(s)            COMM             PID     LEN\n"},
	} {
		output, exit := test.s.end(syscall.SIGINT)
		text := sniffed(append(test.s.early, output...))
		if d := cmp.Diff(test.want, text); d != "" || exit != 0 || test.s.stderr.Len() > 0 {
			t.Errorf("%q: exit code %d (-want +got)\n%s%s", test.s.cmd.Args, exit, d, test.s.stderr.String())
		}
	}
}

// sniffed is a tool's output without what differs from run to run.
func sniffed(lines []string) string {
	text := strings.Join(lines, "\n") + "\n"
	for _, r := range []struct{ pattern, by string }{
		{`\b\d+\.\d{9}\b`, "TIME"}, {`"time_s":[0-9.]+`, `"time_s":TIME`}, {`("pid":|(?:openssl|program) +)\d+ *`, "${1}PID "}, {`(PID \d+ +\d+ +)\d+ *\n`, "${1}PID\n"},
		{`"pid":PID `, `"pid":PID`}, {`\d+\.\d{3} *\n`, "LAT\n"},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}

// The libraries without their headers: both ends of a connection are in one process.
const opensslProgram = `
#include <stddef.h>
#include <unistd.h>
extern void *TLS_method(void), *SSL_CTX_new(void *), *SSL_new(void *), *BIO_s_mem(void), *BIO_new(void *);
extern int SSL_CTX_set_cipher_list(void *, char *), SSL_do_handshake(void *), SSL_read_ex(void *, void *, size_t, size_t *), SSL_write_ex(void *, void *, size_t, size_t *);
extern int SSL_read(void *, void *, int), SSL_write(void *, void *, int);
extern long SSL_CTX_ctrl(void *, int, long, void *);
extern void SSL_set_bio(void *, void *, void *), SSL_set_accept_state(void *), SSL_set_connect_state(void *), BIO_up_ref(void *);
int main(void) {
	char c, text[100] = "0123456789abcdef";
	size_t n;
	write(1, "ready\n", 6);
	read(0, &c, 1);
	void *context = SSL_CTX_new(TLS_method());
	SSL_CTX_ctrl(context, 124 /* SSL_CTRL_SET_MAX_PROTO_VERSION */, 0x303, NULL);
	SSL_CTX_set_cipher_list(context, "aNULL:@SECLEVEL=0");
	void *a = SSL_new(context), *b = SSL_new(context), *to_a = BIO_new(BIO_s_mem()), *to_b = BIO_new(BIO_s_mem());
	BIO_up_ref(to_a), BIO_up_ref(to_b);
	SSL_set_bio(a, to_a, to_b);
	SSL_set_bio(b, to_b, to_a);
	SSL_set_connect_state(a);
	SSL_set_accept_state(b);
	for (int i = 0, x = 0, y = 0; i < 100 && (x != 1 || y != 1); i++) {
		if (x != 1) x = SSL_do_handshake(a);
		if (y != 1) y = SSL_do_handshake(b);
	}
	if (!SSL_write_ex(a, text, 16, &n) || !SSL_read_ex(b, text + 20, 6, &n) || SSL_read_ex(a, text, 5, &n)) return 1;
	if (SSL_write(b, text, 3) != 3 || SSL_read(a, text, 20) != 3 || SSL_read(b, text, 50) != 10 || SSL_read(b, text, 50) > 0) return 1;
	write(1, "done\n", 5);
	read(0, &c, 1);
	return 0;
}
`

const gnutlsProgram = `
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
extern int gnutls_init(void **, unsigned), gnutls_priority_set_direct(void *, char *, char **), gnutls_credentials_set(void *, int, void *),
	gnutls_anon_allocate_client_credentials(void **), gnutls_anon_allocate_server_credentials(void **), gnutls_handshake(void *);
extern void gnutls_transport_set_int2(void *, int, int);
extern ssize_t gnutls_record_send(void *, void *, size_t), gnutls_record_recv(void *, void *, size_t);
static int ends[2];
static void *session(int server, int end) {
	void *s, *credentials;
	gnutls_init(&s, server ? 1 : 2);
	gnutls_priority_set_direct(s, "NORMAL:-VERS-TLS1.3:+ANON-ECDH", 0);
	if (server) gnutls_anon_allocate_server_credentials(&credentials); else gnutls_anon_allocate_client_credentials(&credentials);
	gnutls_credentials_set(s, 2 /* GNUTLS_CRD_ANON */, credentials);
	gnutls_transport_set_int2(s, end, end);
	return gnutls_handshake(s) == 0 ? s : 0;
}
static void *answer(void *arg) {
	char text[10];
	void *s = session(1, ends[1]);
	if (gnutls_record_recv(s, text, 10) == 5) gnutls_record_send(s, "answer", 6);
	return 0;
}
int main(void) {
	char c, text[10];
	pthread_t other;
	write(1, "ready\n", 6);
	read(0, &c, 1);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	pthread_create(&other, 0, answer, 0);
	void *s = session(0, ends[0]);
	gnutls_record_send(s, "hello", 5);
	pthread_join(other, 0);
	if (gnutls_record_recv(s, text, 10) != 6) return 1;
	write(1, "done\n", 5);
	read(0, &c, 1);
	return 0;
}
`

const nsprProgram = `
#include <unistd.h>
extern int PR_CreatePipe(void **, void **), PR_Write(void *, void *, int), PR_Read(void *, void *, int);
int main(void) {
	char c, text[10];
	void *from, *to;
	write(1, "ready\n", 6);
	read(0, &c, 1);
	PR_CreatePipe(&from, &to);
	if (PR_Write(to, "hello", 5) != 5 || PR_Read(from, text, 10) != 5 || PR_Write(from, "x", 1) > 0) return 1;
	write(1, "done\n", 5);
	read(0, &c, 1);
	return 0;
}
`

// TestSslsniffLibraries calls all functions that are watched.
func TestSslsniffLibraries(t *testing.T) {
	ktest.Need(t, ktest.Root, ktest.RingBuf, ktest.Uprobe, ktest.Uretprobe)
	ktest.Oldest(t)
	for _, test := range []struct {
		name, source, library string
		want                  []string
	}{
		{"OpenSSL", opensslProgram, "libssl.so.3", []string{"HANDSHAKE 0 ", "HANDSHAKE 0 ", "WRITE/SEND 16 0123456789abcdef", "READ/RECV 6 012345",
			"WRITE/SEND 3 012", "READ/RECV 3 012", "READ/RECV 10 6789abcdef"}},
		{"GnuTLS", gnutlsProgram, "libgnutls.so.30", []string{"HANDSHAKE 0 ", "HANDSHAKE 0 ", "READ/RECV 5 hello", "READ/RECV 6 answer", "WRITE/SEND 5 hello",
			"WRITE/SEND 6 answer"}},
		{"NSS", nsprProgram, "libnspr4.so", []string{"WRITE/SEND 5 hello", "READ/RECV 5 hello"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := filepath.Glob("/usr/lib/*-linux-gnu/" + test.library)
			if err != nil || len(found) == 0 {
				t.Skip("there is no ", test.library)
			}
			program := talkTo(t, buildC(t, test.source, found[0]))
			program.hear("ready")
			s := startSkep(t, "sslsniff", "-p", program.pid(), "-l", "--handshake", "--json")
			program.say("\n")
			program.hear("done")
			output, exit := s.end(syscall.SIGTERM)
			var got []string
			for _, line := range output {
				var call struct {
					Func, Data string
					Len        int
				}
				if err := json.Unmarshal([]byte(line), &call); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				got = append(got, fmt.Sprintf("%s %d %s", call.Func, call.Len, call.Data))
			}
			if test.name == "GnuTLS" { // which has two threads
				slices.Sort(got)
			}
			if d := cmp.Diff(test.want, got); d != "" || exit != 0 || s.stderr.Len() > 0 {
				t.Errorf("exit code %d (-want +got)\n%s%s", exit, d, s.stderr.String())
			}
		})
	}
}
