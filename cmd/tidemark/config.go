// SPDX-License-Identifier: Apache-2.0

// The configuration file: YAML whose keys are the flags of serve. It yields to the environment and to flags.

package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// configFile is the flag --config: a path. Reading it adds a resolver that gives the file's values to flags.
type configFile string

// BeforeResolve reads the file named by the flag or its environment variable.
func (configFile) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(configFile))
	if path == "" {
		return nil
	}
	file, err := readConfigFile(path, k.Model)
	if err != nil {
		return err
	}
	ctx.AddResolver(file)
	return nil
}

// fileValues are the values of a configuration file by flag name.
type fileValues struct {
	path   string
	values map[string]fileValue
}

type fileValue struct {
	text string
	line int
}

// readConfigFile reads the file and refuses keys that are not flags of serve.
func readConfigFile(path string, model *kong.Application) (*fileValues, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	document, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %s", path, yaml.FormatError(err, false, true))
	}
	file := &fileValues{path: path, values: map[string]fileValue{}}
	allowed := fileKeys(model)
	for _, doc := range document.Docs {
		for _, pair := range pairsOf(doc.Body) {
			if err := file.add(pair, allowed); err != nil {
				return nil, err
			}
		}
		if doc.Body != nil && pairsOf(doc.Body) == nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType {
			return nil, fmt.Errorf("config: %s: it must be a list of lines `key: value`; keys: %s", path, strings.Join(allowed, ", "))
		}
	}
	return file, nil
}

// add takes one `key: value` of the file.
func (f *fileValues) add(pair *ast.MappingValueNode, allowed []string) error {
	key, line := pair.Key.GetToken().Value, pair.Key.GetToken().Position.Line
	value, isScalar := scalarText(pair.Value)
	switch {
	case !slices.Contains(allowed, key):
		return fmt.Errorf("config: %s:%d: unknown key %q with value %q; allowed: %s", f.path, line, key, value, strings.Join(allowed, ", "))
	case !isScalar:
		return fmt.Errorf("config: %s:%d: %s must be one value, or a list of values, not %s", f.path, line, key, pair.Value.Type())
	}
	f.values[key] = fileValue{value, line}
	return nil
}

// Validate implements [kong.Resolver]; keys are checked when the file is read.
func (f *fileValues) Validate(*kong.Application) error { return nil }

// Resolve implements [kong.Resolver]: the file's value, unless the environment has one.
func (f *fileValues) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, found := f.values[flag.Name]
	if !found {
		return nil, nil
	}
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil
		}
	}
	if err := flag.Parse(kong.Scan(value.text), reflect.New(flag.Target.Type()).Elem()); err != nil { // here it is known from where
		problem := strings.TrimPrefix(err.Error(), flag.ShortSummary()+": ")
		return nil, fmt.Errorf("%s (from %s:%d)", problem, f.path, value.line)
	}
	return value.text, nil
}

// fileKeys are the keys a file may have: the flags of serve.
func fileKeys(model *kong.Application) []string {
	var keys []string
	for _, command := range model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			keys = append(keys, flag.Name)
		}
	}
	slices.Sort(keys)
	return keys
}

// pairsOf are the pairs of a mapping, nil if node is none.
func pairsOf(node ast.Node) []*ast.MappingValueNode {
	switch node := node.(type) {
	case *ast.MappingNode:
		return node.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{node}
	}
	return nil
}

// scalarText is a value as one would write it on the command line; a list is joined by commas.
func scalarText(node ast.Node) (text string, ok bool) {
	switch node := node.(type) {
	case *ast.SequenceNode:
		var parts []string
		for _, value := range node.Values {
			part, ok := scalarText(value)
			if !ok || value.Type() == ast.SequenceType {
				return node.String(), false
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ","), true
	case *ast.MappingNode, *ast.MappingValueNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return strings.TrimSpace(node.String()), false
	case *ast.LiteralNode:
		return node.Value.Value, true
	case *ast.NullNode:
		return "", true
	}
	return node.GetToken().Value, true
}
