package proof

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"indelible/internal/store"
)

// memStore is a versioned store in memory whose puts can be made to fail, with
// and without effect.
type memStore struct {
	// hook, if set, is asked before each put whether it takes effect, and what the caller is told.
	hook      func(o store.Object) (apply bool, err error)
	versioned bool

	mu      sync.Mutex
	objects map[string][]memObject
	puts    int
	gets    int
	tags    map[string]map[string]string
}

type memObject struct {
	data []byte // nil is a delete marker
	info store.Info
}

func newMemStore() *memStore {
	return &memStore{objects: map[string][]memObject{}, tags: map[string]map[string]string{}}
}

func (m *memStore) Put(ctx context.Context, o store.Object) (store.Info, error) {
	if err := ctx.Err(); err != nil {
		return store.Info{}, err
	}
	data, err := io.ReadAll(o.Body)
	if err != nil {
		return store.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.puts++
	apply, fault := true, error(nil)
	if m.hook != nil {
		apply, fault = m.hook(o)
	}
	if !apply {
		return store.Info{}, fault
	}
	have := m.newest(o.Key)
	switch c := o.Condition; {
	case c.Any:
	case c.Match == "" && have != nil, c.Match != "" && (have == nil || have.info.ETag != c.Match):
		return store.Info{}, &store.Error{Op: "put", Key: o.Key, Class: store.Exists, Status: 412, Err: errors.New("condition")}
	}
	m.set(o.Key, data)
	m.tags[o.Key] = o.Tags
	have = m.newest(o.Key)
	have.info.Header, have.info.Meta = o.Header, o.Meta
	return have.info, fault
}

func (m *memStore) set(key string, data []byte) store.Info {
	sum := md5.Sum(data)
	info := store.Info{Key: key, Size: int64(len(data)), ETag: hex.EncodeToString(sum[:]), ModTime: time.Now()}
	if have := m.newest(key); have != nil { // whoever changes the bytes keeps the rest
		info.Header, info.Meta = have.info.Header, have.info.Meta
	}
	if m.versioned {
		info.Version = strconv.Itoa(len(m.objects[key]) + 1)
	} else {
		m.objects[key] = nil
	}
	m.objects[key] = append(m.objects[key], memObject{data, info})
	return info
}

func (m *memStore) newest(key string) *memObject {
	v := m.objects[key]
	if len(v) == 0 || v[len(v)-1].data == nil {
		return nil
	}
	return &v[len(v)-1]
}

func (m *memStore) Get(_ context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	have := m.newest(key)
	if o.Version != "" {
		have = nil
		for i := range m.objects[key] {
			if v := &m.objects[key][i]; v.info.Version == o.Version && v.data != nil {
				have = v
			}
		}
	}
	if have == nil {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.NotFound, Status: 404, Err: errors.New("no such key")}
	}
	data := have.data
	if o.To > 0 {
		data = data[:min(o.To, int64(len(data)))]
	}
	return io.NopCloser(bytes.NewReader(data[o.From:])), have.info, nil
}

func (m *memStore) Head(ctx context.Context, key string, o store.GetOptions) (store.Info, error) {
	_, info, err := m.Get(ctx, key, o)
	return info, err
}

func (m *memStore) List(_ context.Context, o store.ListOptions) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		rolled := ""
		for _, key := range m.keys() {
			if !strings.HasPrefix(key, o.Prefix) || key <= o.After || rolled != "" && strings.HasPrefix(key, rolled) {
				continue
			}
			info := m.peek(key)
			if dirName, _, found := strings.Cut(key[len(o.Prefix):], o.Delimiter); found && o.Delimiter != "" {
				rolled = o.Prefix + dirName + o.Delimiter
				info = store.Info{Key: rolled, Prefix: true}
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// Versions yields what lies below the newest version, or behind a delete marker.
func (m *memStore) Versions(_ context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		m.mu.Lock()
		var list []store.Info
		for _, key := range slices.Sorted(maps.Keys(m.objects)) {
			v := m.objects[key]
			for i := len(v) - 1; i >= 0 && m.versioned && strings.HasPrefix(key, prefix); i-- {
				if v[i].data != nil && i < len(v)-1 {
					list = append(list, v[i].info)
				}
			}
		}
		m.mu.Unlock()
		for _, info := range list {
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (m *memStore) peek(key string) store.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest(key).info
}

// keys are those of all present objects, sorted.
func (m *memStore) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.objects)), func(k string) bool { return m.newest(k) == nil })
}

// clone is a copy that lives on its own.
func (m *memStore) clone() *memStore {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemStore()
	c.versioned = m.versioned
	for k, v := range m.objects {
		c.objects[k] = slices.Clone(v)
	}
	return c
}

// data is the newest content under a key.
func (m *memStore) data(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.newest(key); o != nil {
		return o.data
	}
	panic(fmt.Sprintf("no object %q", key))
}

// put changes an object behind everybody's back.
func (m *memStore) put(key string, data []byte) store.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set(key, data)
}

// describe changes the attributes of an object behind everybody's back.
func (m *memStore) describe(key string, header, meta map[string]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := slices.Clone(m.objects[key]) // clones share what they do not change
	v[len(v)-1].info.Header, v[len(v)-1].info.Meta = header, meta
	m.objects[key] = v
}

// remove deletes an object; in a versioned store it puts a delete marker on top.
func (m *memStore) remove(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.versioned {
		m.objects[key] = append(m.objects[key], memObject{})
		return
	}
	delete(m.objects, key)
}

// deniedStore lets nobody read records.
type deniedStore struct{ *memStore }

func (d deniedStore) Get(ctx context.Context, key string, o store.GetOptions) (io.ReadCloser, store.Info, error) {
	if strings.Contains(key, "2026-") {
		return nil, store.Info{}, &store.Error{Op: "get", Key: key, Class: store.Credentials, Status: 403, Err: errors.New("denied")}
	}
	return d.memStore.Get(ctx, key, o)
}
