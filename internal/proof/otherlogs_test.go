package proof

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"indelible/internal/record"
)

// The objects of another log under the same prefix are not extra, those that no log names are, and
// what anybody may write as another log neither ends the audit nor keeps it from ending.
func TestTwoLogsUnderOnePrefix(t *testing.T) {
	b := filled(t)
	key, err := GenerateKey("other-log")
	if err != nil {
		t.Fatal(err)
	}
	other := &bench{t: t, key: key, st: b.st, d: tempDisk(t)}
	l := other.open()
	other.do(l.Start("p", "c", ""))
	for seq := range record.Seq(300) {
		o := other.outcomeOf(seq+1, record.Stored)
		o.Stored = fmt.Sprintf("%sother/%d.json", testBase, seq+1)
		o.Version = b.st.put(o.Stored, body(seq+1)).Version
		other.do(l.Add(t.Context(), o))
	}
	other.do(l.Stop(t.Context()))
	b.st.put(testBase+"nobody's", []byte("x"))
	b.st.put(Dir(testBase, "junk")+"checkpoint", []byte("junk"))
	forger, err := GenerateKey("forged")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(forger.Secret())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := note.Sign(&note.Note{Text: fmt.Sprintf("forged\n%d\n%s\n", uint64(1)<<50, base64.StdEncoding.EncodeToString(make([]byte, 32)))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	b.st.put(Dir(testBase, "forged")+"checkpoint", forged)
	r := b.clean()
	if r.Extras != 1 || !slices.Equal(r.ExtraKeys, []string{testBase + "nobody's"}) || r.OfOtherLogs != 300 || !slices.Equal(r.OtherLogs, []string{"forged", "junk", "other-log"}) {
		t.Errorf("%d extra %q, %d of the logs %q", r.Extras, r.ExtraKeys, r.OfOtherLogs, r.OtherLogs)
	}
	r, err = Verify(t.Context(), b.st, testBase, key.Public(), VerifyOptions{})
	if err != nil || !r.OK() || r.Extras != 1 || r.OfOtherLogs != 599 {
		t.Errorf("the other log: %v; %v, %d extra, %d of others", err, r.Faults, r.Extras, r.OfOtherLogs)
	}
}
