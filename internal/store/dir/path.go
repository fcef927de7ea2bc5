package dir

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Names on the disk. A key's slashes are directories. Within a component a
// percent sign starts an escape; a name without one is the component itself:
//
//	%XX      one byte (%xx in a store with .folded): of control characters, of "%", of what is no UTF-8, and of what the naming escapes beside
//	%        (alone) the empty component
//	%+       (at the end of a directory) the component goes on in the next name
//	%d       (at the end of a directory) a directory beside an object of its name
//	%f       (at the end of a file) an object beside a directory of its name
const (
	emptyName  = "%"
	contSuffix = "%+"
	dirSuffix  = "%d"
	fileSuffix = "%f"
)

// maxName is how long a name gets before its component is cut; file systems
// take 255 bytes, suffix included.
const maxName = 240

// notOnWindows are characters that its names cannot hold.
const notOnWindows = `\:*?"<>|`

// naming is what the names of a store escape beside what all of them escape.
type naming struct {
	folded  bool // capital letters and what is no ASCII: see folding.go
	windows bool // what Windows refuses in a name, or leaves out of it
}

// names are the names that a key's components have on the disk, the last one the
// file's, without dirSuffix and fileSuffix.
func (n naming) names(key string) []string {
	var list []string
	for component := range strings.SplitSeq(key, "/") {
		for i, name := range cut(n.encode(component)) {
			if i > 0 && n.windows && isDevice(name) { // encode saw the whole component alone
				name = n.escape(name[0]) + name[1:]
			}
			list = append(list, name)
		}
	}
	if len(list) > 1 && isOwn(list[0], list[1]) {
		list[1] = n.escape('.') + list[1][1:] // the store's own places start with a dot
	}
	return list
}

// isOwn reports the names in ownDir that are the store's, in any case of
// letters: there are file systems that do not tell one case from another.
func isOwn(dir, name string) bool {
	return strings.EqualFold(dir, ownDir) && (strings.EqualFold(name, metaName) || strings.EqualFold(name, tmpName) || strings.EqualFold(name, tildeName) || strings.EqualFold(name, foldedName))
}

// cut breaks an encoded component into names that fit, never inside an escape
// or a character.
func cut(name string) []string {
	var list []string
	for len(name) > maxName {
		at := maxName
		if i := strings.LastIndexByte(name[:at], '%'); i >= at-2 {
			at = i
		}
		for at > maxName-utf8.UTFMax && !utf8.RuneStart(name[at]) {
			at--
		}
		list = append(list, name[:at]+contSuffix)
		name = name[at:]
	}
	return append(list, name)
}

func (n naming) encode(component string) string {
	switch component {
	case "":
		return emptyName
	case ".", "..":
		return strings.Repeat(n.escape('.'), len(component))
	}
	device := n.windows && isDevice(component)
	var b strings.Builder
	for at := 0; at < len(component); {
		r, size := utf8.DecodeRuneInString(component[at:])
		last := at+size == len(component)
		switch {
		case r == utf8.RuneError && size == 1, r < 0x20, r == 0x7f, r == '%',
			n.windows && (strings.ContainsRune(notOnWindows, r) || last && (r == '.' || r == ' ') || device && at == 0),
			n.folded && ('A' <= r && r <= 'Z' || r >= utf8.RuneSelf):
			for _, c := range []byte(component[at : at+size]) {
				b.WriteString(n.escape(c))
			}
		default:
			b.WriteString(component[at : at+size])
		}
		at += size
	}
	return b.String()
}

// escape is one byte. Where the case of letters does not count, all letters are small.
func (n naming) escape(c byte) string {
	if n.folded {
		return fmt.Sprintf("%%%02x", c)
	}
	return fmt.Sprintf("%%%02X", c)
}

// isDevice reports the names that lead to a device of Windows, whatever follows their first dot.
func isDevice(name string) bool {
	name, _, _ = strings.Cut(name, ".")
	name = strings.ToUpper(strings.TrimRight(name, " "))
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	rest, com := strings.CutPrefix(name, "COM")
	if !com {
		rest, com = strings.CutPrefix(name, "LPT")
	}
	return com && len([]rune(rest)) == 1 && strings.Contains("0123456789\u00b9\u00b2\u00b3", rest)
}

// decode reads one name. more says that the component goes on in the next
// name; ok is false for names that are not ours.
func (n naming) decode(name string, isDir bool) (part string, more, ok bool) {
	if name == emptyName || isDir && name == emptyName+dirSuffix || !isDir && name == emptyName+fileSuffix {
		return "", false, true
	}
	if isDir {
		if name, more = strings.CutSuffix(name, contSuffix); !more {
			name = strings.TrimSuffix(name, dirSuffix)
		}
	} else {
		name = strings.TrimSuffix(name, fileSuffix)
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if name[i] != '%' {
			b.WriteByte(name[i])
			continue
		}
		if i+2 >= len(name) {
			return "", false, false
		}
		hi, lo := n.unhex(name[i+1]), n.unhex(name[i+2])
		if hi < 0 || lo < 0 {
			return "", false, false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), more, name != ""
}

func (n naming) unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case !n.folded && 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case n.folded && 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
