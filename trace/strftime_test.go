package trace

import (
	"testing"
	"time"

	"skep/schema"
)

func TestStrftime(t *testing.T) {
	at := time.Date(2026, 3, 5, 9, 7, 3, 12345678, time.UTC)
	for _, test := range []struct{ format, want, fractions string }{
		{format: "%Y-%m-%d %H:%M:%S", want: "2026-03-05 09:07:03"},
		{format: "%F %T %R %D %y %C %j", want: "2026-03-05 09:07:03 09:07 03/05/26 26 20 064"},
		{format: "%a %A %b %h %B %p %P %I|%l|%k|%e", want: "Thu Thursday Mar Mar March AM am 09| 9| 9| 5", fractions: "Thu Thursday Mar Mar March AM am 09|012|012345678| 5"},
		{format: "%u %w %U %W %V %G %g %s %z %Z", want: "4 4 09 09 10 2026 26 1772701623 +0000 UTC"},
		{format: "%c|%x|%X|%r|%n|%t|%%", want: "Thu Mar  5 09:07:03 2026|03/05/26|09:07:03|09:07:03 AM|\n|\t|%"},
		{format: "%f %q %", want: "%f %q %", fractions: "012345 %q %"},
		{format: "%6Y %-d %^a %05H %_m %-l %10a|%-H%M", want: "002026 5 THU 00009  3 9        Thu|907", fractions: "002026 5 THU 00009  3 12        Thu|907"},
		{format: "%Ey %Od", want: "26 05"},
		{format: "", want: ""},
	} {
		if test.fractions == "" {
			test.fractions = test.want
		}
		if got := string(appendStrftime(nil, test.format, at, false)); got != test.want {
			t.Errorf("time(%q): %q, want %q", test.format, got, test.want)
		}
		if got := string(appendStrftime(nil, test.format, at, true)); got != test.fractions {
			t.Errorf("strftime(%q): %q, want %q", test.format, got, test.fractions)
		}
	}
}

// TestUTC shows a time without the machine's time zone.
func TestUTC(t *testing.T) {
	v := &values{script: &schema.Script{}}
	at := time.Date(2026, 7, 1, 12, 30, 0, 0, time.FixedZone("here", 2*3600))
	typ := &schema.Type{Kind: schema.Timestamp, Size: 8, Format: "%H:%M %Z", Clock: schema.Wall, UTC: true}
	if got := string(v.text(nil, typ, words64(uint64(at.UnixNano())))); got != "10:30 UTC" {
		t.Errorf("got %q", got)
	}
}
