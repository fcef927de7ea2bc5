package proof

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Policy says which witnesses must have cosigned a checkpoint before it is believed: the logs, witnesses,
// groups and the quorum of C2SP tlog-policy.
type Policy struct {
	logs      []publicKey
	witnesses []*policyNode
	quorum    *policyNode // nil: none is demanded
}

// policyNode is a witness, or a group of which need members must have witnessed.
type policyNode struct {
	name    string
	key     *noteKey // of a witness; nil: a group
	need    int
	members []*policyNode
	taken   bool // it is a member of a group
}

// WitnessPolicy demands cosignatures of quorum of these witnesses, given by their verifier keys; 0 is all of them.
func WitnessPolicy(vkeys []string, quorum int) (*Policy, error) {
	need := "all"
	if quorum != 0 {
		need = strconv.Itoa(quorum)
	}
	var lines []string
	group := []string{"group quorum", need}
	for i, vkey := range vkeys {
		name := "w" + strconv.Itoa(i)
		lines = append(lines, "witness "+name+" "+vkey)
		group = append(group, name)
	}
	return ParsePolicy(strings.Join(append(lines, strings.Join(group, " "), "quorum quorum"), "\n"))
}

// ParsePolicy reads a policy file. Its errors name the line.
func ParsePolicy(text string) (*Policy, error) {
	p := policyParser{nodes: map[string]*policyNode{}}
	for i, line := range strings.Split(text, "\n") {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := p.line(words); err != nil {
			return nil, fmt.Errorf("policy, line %d: %w", i+1, err)
		}
	}
	if !p.decided {
		return nil, errors.New("policy: it has no quorum line: \"quorum NAME\", or \"quorum none\"")
	}
	return &p.policy, nil
}

type policyParser struct {
	policy  Policy
	nodes   map[string]*policyNode
	decided bool
}

func (p *policyParser) line(words []string) error {
	switch n := len(words); {
	case words[0] == "log" && (n == 2 || n == 3):
		key, err := parsePublic(words[1])
		if err == nil {
			p.policy.logs = append(p.policy.logs, key)
		}
		return err
	case words[0] == "witness" && (n == 3 || n == 4):
		return p.witness(words[1], words[2])
	case words[0] == "group" && n >= 4:
		return p.group(words[1], words[2], words[3:])
	case words[0] == "quorum" && n == 2:
		return p.setQuorum(words[1])
	}
	return fmt.Errorf("cannot read %q: want log VKEY [URL], witness NAME VKEY [URL], group NAME all|any|K NAME..., or quorum NAME", cut(strings.Join(words, " "), 100))
}

func (p *policyParser) add(n *policyNode) error {
	if p.nodes[n.name] != nil || n.name == "none" {
		return fmt.Errorf("the name %q is taken", n.name)
	}
	p.nodes[n.name] = n
	return nil
}

func (p *policyParser) witness(name, vkey string) error {
	key, err := parseCosigner(vkey)
	if err != nil {
		return err
	}
	for _, w := range p.policy.witnesses {
		if string(w.key.key) == string(key.key) {
			return fmt.Errorf("the witnesses %s and %s have one key", w.name, name)
		}
	}
	n := &policyNode{name: name, key: key}
	p.policy.witnesses = append(p.policy.witnesses, n)
	return p.add(n)
}

func (p *policyParser) group(name, need string, members []string) error {
	n := &policyNode{name: name}
	for _, m := range members {
		member := p.nodes[m]
		if member == nil {
			return fmt.Errorf("%q is not defined above", m)
		}
		if member.taken {
			return fmt.Errorf("%q is a member of two groups, or twice of one", m)
		}
		member.taken = true
		n.members = append(n.members, member)
	}
	switch need {
	case "all":
		n.need = len(members)
	case "any":
		n.need = 1
	default:
		k, err := strconv.Atoi(need)
		if err != nil || k < 1 || k > len(members) {
			return fmt.Errorf("the group %s needs %q of %d members: want all, any, or a number from 1 to %d", name, need, len(members), len(members))
		}
		n.need = k
	}
	return p.add(n)
}

func (p *policyParser) setQuorum(name string) error {
	if p.decided {
		return errors.New("a second quorum line")
	}
	p.decided = true
	if name == "none" {
		return nil
	}
	if p.policy.quorum = p.nodes[name]; p.policy.quorum == nil {
		return fmt.Errorf("%q is not defined above", name)
	}
	return nil
}

// accepts says whether the policy is about a log with this key: it names none, or this one.
func (p *Policy) accepts(key publicKey) bool {
	if slices.ContainsFunc(p.logs, key.includes) {
		return true
	}
	return len(p.logs) == 0
}

// CheckLog says whether the policy is about the log with this public key.
func (p *Policy) CheckLog(vkey string) error {
	key, err := parsePublic(vkey)
	if err == nil && !p.accepts(key) {
		err = fmt.Errorf("the policy is about another log than %s with this key", key.Name())
	}
	return err
}

// Cosignatures are what a checkpoint bears.
type Cosignatures struct {
	Witnesses []string  `json:"witnesses"` // the key names of those that cosigned it
	Time      time.Time `json:"time"`      // of the earliest of these cosignatures; zero if there is none
}

// judge reads the cosignatures of a checkpoint and says whether they are a quorum.
func (p *Policy) judge(checkpoint []byte) (c Cosignatures, ok bool) {
	c.Witnesses = []string{}
	for _, w := range p.witnesses {
		at, ok := w.key.cosigned(checkpoint)
		if !ok {
			continue
		}
		c.Witnesses = append(c.Witnesses, w.key.name)
		if !at.IsZero() && (c.Time.IsZero() || at.Before(c.Time)) {
			c.Time = at
		}
	}
	return c, p.quorum == nil || p.quorum.witnessed(checkpoint)
}

func (n *policyNode) witnessed(checkpoint []byte) bool {
	if n.key != nil {
		_, ok := n.key.cosigned(checkpoint)
		return ok
	}
	have := 0
	for _, m := range n.members {
		if m.witnessed(checkpoint) {
			have++
		}
	}
	return have >= n.need
}

// cosigned says whether this witness cosigned the checkpoint, and when.
func (v *noteKey) cosigned(checkpoint []byte) (at time.Time, ok bool) {
	n, err := note.Open(checkpoint, note.VerifierList(v))
	if err != nil || len(n.Sigs) == 0 {
		return time.Time{}, false
	}
	return cosignedAt(n.Sigs[0].Base64), true
}

// Check says whether a checkpoint bears the cosignatures that the policy demands. Whether the log has signed it is
// another question.
func (p *Policy) Check(checkpoint []byte) error {
	if c, ok := p.judge(checkpoint); !ok {
		return fmt.Errorf("the checkpoint is cosigned by %d of the %d witnesses%s, which is not the quorum that the policy demands", len(c.Witnesses), len(p.witnesses), namesOf(c.Witnesses))
	}
	return nil
}

func namesOf(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, ", ") + ")"
}
