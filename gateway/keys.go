// SPDX-License-Identifier: Apache-2.0

// Where keys come from: the key files of the data directory, and PEM.

package gateway

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

const (
	rsaBitsMin       = 2048
	secretBytesMin   = 32 // of HS256
	adminKeyBytesMin = 16
)

// publicKey is a key that may sign tokens, and the one algorithm it does so with.
type publicKey struct {
	kid       string // "": fits any token
	algorithm string // EdDSA or RS256
	key       jwt.VerificationKey
}

// SealKey reads the key of the seals of a data directory, making it at the first start. Who loses it loses what devices
// could give back after a restore, and nothing else. log may be nil.
func SealKey(dir string, log *slog.Logger) ([]byte, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	key, _, err := keyFile(dir, "seal.key", secretBytesMin, log)
	return key, err
}

// keyFile reads a secret of at least bytesMin bytes from a file of one line, making it when it does not exist.
func keyFile(dir, name string, bytesMin int, log *slog.Logger) (key []byte, created bool, err error) {
	if dir == "" {
		return nil, false, fmt.Errorf("gateway: %s has no place: name a data directory or give the key", name)
	}
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if key, err = makeKeyFile(path); !errors.Is(err, fs.ErrExist) {
			return key, err == nil, err
		}
		data, err = os.ReadFile(path) // another process was faster
	}
	if err != nil {
		return nil, false, fmt.Errorf("gateway: %w", err)
	}
	key = []byte(strings.TrimSpace(string(data)))
	if len(key) < bytesMin {
		return nil, false, fmt.Errorf("gateway: %s holds %d bytes: at least %d are needed; remove it to have a new one made", path, len(key), bytesMin)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("a key file can be read by others", "path", path, "mode", info.Mode().Perm().String())
	}
	return key, false, nil
}

// makeKeyFile writes 32 random bytes, in base64, so that a crash leaves the whole key or none.
func makeKeyFile(path string) ([]byte, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	key := base64.RawURLEncoding.EncodeToString(random[:])
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	_, err = f.WriteString(key + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // fs.ErrExist if another process was faster
	}
	if err = errors.Join(err, os.Remove(f.Name())); err == nil {
		err = syncDir(filepath.Dir(path)) // what was signed with a key that a power cut takes away counts no more
	}
	if err != nil {
		return nil, fmt.Errorf("gateway: make %s: %w", path, err)
	}
	return []byte(key), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// parsePublicKeys reads every PEM block in data.
func parsePublicKeys(data []byte) ([]publicKey, error) {
	var keys []publicKey
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if strings.TrimSpace(string(rest)) != "" {
				return nil, errors.New("gateway: the public keys hold something that is not PEM")
			}
			if len(keys) == 0 && len(data) > 0 {
				return nil, errors.New("gateway: the public keys are empty")
			}
			return keys, nil
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("gateway: public key %d: %w", len(keys)+1, err)
		}
		keys = append(keys, key)
	}
}

func parseBlock(block *pem.Block) (publicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return publicKey{}, err
		}
		return usable("", key)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return publicKey{}, err
		}
		return usable("", certificate.PublicKey)
	}
	return publicKey{}, fmt.Errorf("a block %q is neither PUBLIC KEY nor CERTIFICATE", block.Type)
}

// usable pins a key to the one algorithm it is for.
func usable(kid string, key any) (publicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return publicKey{kid: kid, algorithm: "EdDSA", key: k}, nil
	case *rsa.PublicKey:
		if k.N.BitLen() < rsaBitsMin {
			return publicKey{}, fmt.Errorf("an RSA key of %d bits is too weak: at least %d are needed", k.N.BitLen(), rsaBitsMin)
		}
		return publicKey{kid: kid, algorithm: "RS256", key: k}, nil
	}
	return publicKey{}, fmt.Errorf("a key of type %T is neither Ed25519 nor RSA", key)
}
