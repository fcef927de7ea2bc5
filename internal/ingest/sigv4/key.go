package sigv4

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"hash"
	"sync"
)

// signingKey is the key derived from a secret for one day and region. It is
// safe for concurrent use.
type signingKey struct {
	key  []byte
	macs sync.Pool // of hash.Hash keyed with key, ready to be reset
}

// newSigningKey derives a key. An empty secret, which belongs to nobody, gives
// a key that nobody can know.
func newSigningKey(secret, day, region string) *signingKey {
	if secret == "" {
		secret = rand.Text()
	}
	k := hmacSum([]byte("AWS4"+secret), day)
	k = hmacSum(k, region)
	k = hmacSum(k, service)
	return &signingKey{key: hmacSum(k, terminator)}
}

func hmacSum(key []byte, message string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(message))
	return h.Sum(nil)
}

// appendMAC appends the HMAC of message to dst.
func (k *signingKey) appendMAC(dst, message []byte) []byte {
	h, _ := k.macs.Get().(hash.Hash)
	if h == nil {
		h = hmac.New(sha256.New, k.key)
	} else {
		h.Reset()
	}
	h.Write(message)
	dst = h.Sum(dst)
	k.macs.Put(h)
	return dst
}

// maxCachedKeys bounds the cache. Only signatures that were right fill it, so
// it holds the handful of (key, day, region) that real senders use.
const maxCachedKeys = 256

type keyName struct{ id, day, region string }

// keyCache keeps derived keys: deriving one costs more than everything else
// about a signature.
type keyCache struct {
	mu   sync.RWMutex
	keys map[keyName]*signingKey // guarded by mu
}

func (c *keyCache) get(id, day, region string) (*signingKey, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	k, ok := c.keys[keyName{id, day, region}]
	return k, ok
}

func (c *keyCache) put(id, day, region string, k *signingKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= maxCachedKeys {
		clear(c.keys)
	}
	if c.keys == nil {
		c.keys = make(map[keyName]*signingKey)
	}
	c.keys[keyName{id, day, region}] = k
}
