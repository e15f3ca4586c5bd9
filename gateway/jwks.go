// SPDX-License-Identifier: Apache-2.0

// A JSON Web Key Set at a URL: fetched when needed, kept, and fetched again when it is old or a token names a key that is
// not in it.

package gateway

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	jwksBytesMax = 1 << 20
	jwksKeysMax  = 100
	jwksTimeout  = 5 * time.Second
	jwksOldMs    = 10 * 60 * 1000 // after this the set is fetched again
	jwksPauseMs  = 10 * 1000      // between two fetches, whatever tokens name
)

// keySet is the cached set. Keys once fetched stay in use while the URL cannot be reached.
type keySet struct {
	url    string
	client *http.Client
	nowMs  func() uint64
	log    *slog.Logger

	fetching  sync.Mutex // held during a fetch
	mu        sync.Mutex // guards what follows
	current   []publicKey
	fetchedMs uint64 // of the last success
	triedMs   uint64 // of the last attempt
}

// checkKeySetURL refuses addresses whose answer anybody on the way could change.
func checkKeySetURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()))) {
		return fmt.Errorf("gateway: the JWKS URL %q is not an https URL (http is for this machine only)", address)
	}
	return nil
}

func newKeySet(address string, client *http.Client, nowMs func() uint64, log *slog.Logger) *keySet {
	if client == nil {
		client = &http.Client{Timeout: jwksTimeout}
	}
	return &keySet{url: address, client: client, nowMs: nowMs, log: log}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// keys are the keys that may fit kid ("": any), after a fetch if one is due. Whoever has a key that is merely old does
// not wait for the fetch of another.
func (s *keySet) keys(kid string) []publicKey {
	keys, known, due := s.look(kid)
	switch {
	case !due:
		return keys
	case !known:
		s.fetching.Lock()
	case !s.fetching.TryLock():
		return keys
	}
	defer s.fetching.Unlock()
	if keys, _, due = s.look(kid); !due {
		return keys // another goroutine has fetched meanwhile
	}
	s.mu.Lock()
	s.triedMs = s.nowMs()
	s.mu.Unlock()
	fresh, err := s.fetch()
	if err != nil {
		s.log.Warn("the JWKS could not be fetched", "url", s.url, "err", err)
		return keys
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.fetchedMs = fresh, s.nowMs()
	return fresh
}

// look gives the keys at hand, whether one may fit kid, and whether a fetch is due and allowed.
func (s *keySet) look(kid string) (keys []publicKey, known, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = kid == "" && len(s.current) > 0
	for _, k := range s.current {
		known = known || k.kid == kid
	}
	now := s.nowMs()
	old := s.fetchedMs == 0 || now >= s.fetchedMs+jwksOldMs
	paused := s.triedMs != 0 && now < s.triedMs+jwksPauseMs
	return s.current, known, (old || !known) && !paused
}

func (s *keySet) fetch() ([]publicKey, error) {
	response, err := s.client.Get(s.url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, jwksBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(data) > jwksBytesMax {
		return nil, fmt.Errorf("longer than %d bytes", jwksBytesMax)
	}
	return parseJWKS(data)
}

// jwk is one key of a set, with the members we use.
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// parseJWKS reads a set. Keys of other kinds, algorithms or uses are passed over, as a set may serve many.
func parseJWKS(data []byte) ([]publicKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("not a JWKS: %w", err)
	}
	if len(set.Keys) > jwksKeysMax {
		return nil, fmt.Errorf("%d keys: at most %d are read", len(set.Keys), jwksKeysMax)
	}
	var keys []publicKey
	for _, k := range set.Keys {
		if key, err := k.public(); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key: RSA of 2048 bits or more, or Ed25519, for signing")
	}
	return keys, nil
}

func (k *jwk) public() (publicKey, error) {
	if k.Use != "" && k.Use != "sig" {
		return publicKey{}, errors.New("not for signing")
	}
	var key any
	switch {
	case k.Type == "OKP" && k.Curve == "Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return publicKey{}, errors.New("x is not an Ed25519 key")
		}
		key = ed25519.PublicKey(x)
	case k.Type == "RSA":
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		e = bytes.TrimLeft(e, "\x00")
		if errN != nil || errE != nil || len(e) == 0 || len(e) > 4 || len(n) > 1024 {
			return publicKey{}, errors.New("n or e is not of an RSA key")
		}
		exponent := int(new(big.Int).SetBytes(e).Int64())
		if exponent < 3 || exponent%2 == 0 || exponent > 1<<31-1 {
			return publicKey{}, errors.New("e is not of an RSA key")
		}
		key = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}
	default:
		return publicKey{}, errors.New("of another kind")
	}
	out, err := usable(k.ID, key)
	if err == nil && k.Algorithm != "" && k.Algorithm != out.algorithm {
		err = errors.New("for another algorithm")
	}
	return out, err
}
