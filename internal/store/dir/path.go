package dir

import (
	"runtime"
	"strings"
	"unicode/utf8"
)

// Names on the disk. A key's slashes are directories. Within a component a
// percent sign starts an escape; a name without one is the component itself:
//
//	%XX      one byte
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

// names are the names that a key's components have on the disk, the last one the
// file's, without dirSuffix and fileSuffix.
func names(key string) []string {
	var list []string
	for component := range strings.SplitSeq(key, "/") {
		list = append(list, cut(encode(component))...)
	}
	if len(list) > 1 && isOwn(list[0], list[1]) {
		list[1] = "%2E" + list[1][1:] // the store's own places start with a dot
	}
	return list
}

// isOwn reports the names in ownDir that are the store's, in any case of
// letters: there are file systems that do not tell one case from another.
func isOwn(dir, name string) bool {
	return strings.EqualFold(dir, ownDir) && (strings.EqualFold(name, metaName) || strings.EqualFold(name, tmpName) || strings.EqualFold(name, tildeName))
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

func encode(component string) string {
	switch component {
	case "":
		return emptyName
	case ".":
		return "%2E"
	case "..":
		return "%2E%2E"
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for len(component) > 0 {
		r, size := utf8.DecodeRuneInString(component)
		broken := r == utf8.RuneError && size == 1
		if broken || r < 0x20 || r == 0x7f || r == '%' || runtime.GOOS == "windows" && strings.ContainsRune(notOnWindows, r) {
			b.WriteByte('%')
			b.WriteByte(digits[component[0]>>4])
			b.WriteByte(digits[component[0]&15])
		} else {
			b.WriteString(component[:size])
		}
		component = component[size:]
	}
	return b.String()
}

// decode reads one name. more says that the component goes on in the next
// name; ok is false for names that are not ours.
func decode(name string, isDir bool) (part string, more, ok bool) {
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
		hi, lo := unhex(name[i+1]), unhex(name[i+2])
		if hi < 0 || lo < 0 {
			return "", false, false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), more, name != ""
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
