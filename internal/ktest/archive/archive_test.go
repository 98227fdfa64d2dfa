package archive

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The two ways in which Debian's packages lay a kernel out.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		name        string
		files       []string
		want        Kernel
		wantProblem bool
	}{
		{name: "image in /boot", files: []string{"boot/vmlinuz-6.1.0-50-cloud-amd64", "lib/modules/6.1.0-50-cloud-amd64/kernel/veth.ko"},
			want: Kernel{Name: "k", Release: "6.1.0-50-cloud-amd64", Image: "boot/vmlinuz-6.1.0-50-cloud-amd64", Modules: "lib/modules/6.1.0-50-cloud-amd64"}},
		{name: "image with the modules", files: []string{"usr/lib/modules/7.2.13+deb14/vmlinuz", "usr/lib/modules/7.2.13+deb14/kernel/veth.ko.xz"},
			want: Kernel{Name: "k", Release: "7.2.13+deb14", Image: "usr/lib/modules/7.2.13+deb14/vmlinuz", Modules: "usr/lib/modules/7.2.13+deb14"}},
		{name: "no image", files: []string{"lib/modules/6.1/kernel/veth.ko"}, wantProblem: true},
		{name: "no modules", files: []string{"boot/vmlinuz-6.1"}, wantProblem: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			for _, f := range c.files {
				path := filepath.Join(home, f)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := find(home, "k")
			if (err != nil) != c.wantProblem {
				t.Fatalf("error %v", err)
			}
			got.Image = strings.TrimPrefix(got.Image, home+"/")
			got.Modules = strings.TrimPrefix(got.Modules, home+"/")
			if diff := cmp.Diff(c.want, got); !c.wantProblem && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestChangedKernel does not give out a kernel that is not what was fetched: without a way to fetch it again, none.
func TestChangedKernel(t *testing.T) {
	const image, module = "boot/vmlinuz-6.1.0", "lib/modules/6.1.0/kernel/veth.ko"
	for _, c := range []struct {
		name   string
		change func(home string) error
		want   string // of the log; "" for a kernel that is good
	}{
		{name: "nothing", change: func(string) error { return nil }},
		{name: "module", want: module + " has changed",
			change: func(home string) error { return os.WriteFile(filepath.Join(home, module), []byte("evil"), 0o644) }},
		{name: "image gone", want: image + " is missing",
			change: func(home string) error { return os.Remove(filepath.Join(home, image)) }},
		{name: "another module", want: module + "2 was not there",
			change: func(home string) error { return os.WriteFile(filepath.Join(home, module+"2"), nil, 0o644) }},
		{name: "link", want: "lib/link has changed",
			change: func(home string) error {
				link := filepath.Join(home, "lib/link")
				return errors.Join(os.Remove(link), os.Symlink("elsewhere", link))
			}},
		{name: "no notes", want: "fetching kernel 6.1",
			change: func(home string) error { return os.Remove(filepath.Join(home, contentsFile)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("PATH", "") // no apt
			cache := t.TempDir()
			home := filepath.Join(cache, "6.1")
			for _, f := range []string{image, module} {
				path := filepath.Join(home, f)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(f), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.Symlink("target", filepath.Join(home, "lib/link")), noteContents(home), c.change(home)); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			k, err := Fetch(t.Context(), cache, "6.1", false, &log)
			if c.want == "" && (err != nil || k.Release != "6.1.0") {
				t.Errorf("kernel %+v, error %v", k, err)
			}
			if c.want != "" && !errors.Is(err, ErrUnavailable) {
				t.Errorf("error %v, want %v", err, ErrUnavailable)
			}
			if !strings.Contains(log.String(), c.want) {
				t.Errorf("the log does not say %q: %s", c.want, log.String())
			}
		})
	}
}

// TestLockIsGivenUp ends the wait for another run with the context.
func TestLockIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir, "6.1", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var log strings.Builder
	cancel()
	if _, err := Fetch(ctx, dir, "6.1", false, &log); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if want := "waiting for another run"; !strings.Contains(log.String(), want) {
		t.Errorf("the log does not say %q: %s", want, log.String())
	}
}

func TestKernelDepends(t *testing.T) {
	const printed = `linux-image-7.2.13+deb14-cloud-amd64
  PreDepends: linux-base
 |Depends: dracut
  Depends: <linux-initramfs-tool>
    dracut
  Depends: linux-base-7.2.13+deb14-cloud-amd64
  Depends: linux-binary-7.2.13+deb14-cloud-amd64
  Depends: linux-modules-7.2.13+deb14-cloud-amd64
  Breaks: initramfs-tools
  Conflicts: linux-image-7.2.13+deb14-cloud-amd64-unsigned
`
	want := []string{"linux-binary-7.2.13+deb14-cloud-amd64", "linux-modules-7.2.13+deb14-cloud-amd64"}
	if diff := cmp.Diff(want, kernelDepends(printed)); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownKernel(t *testing.T) {
	_, err := Fetch(t.Context(), t.TempDir(), "2.6", false, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "5.10, 6.1, 6.12, newest") {
		t.Errorf("error %v does not list the kernels there are", err)
	}
}

func TestEveryKernelHasASuite(t *testing.T) {
	for _, name := range Names() {
		if len(suites(name)) == 0 {
			t.Errorf("kernel %s comes from nowhere", name)
		}
	}
}
