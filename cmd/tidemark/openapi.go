// SPDX-License-Identifier: Apache-2.0

// tidemark openapi: the API's description, for generators of clients.

package main

import "github.com/tidemark-im/tidemark/api"

type openapiCommand struct{}

// Help adds an example to the command's help.
func (openapiCommand) Help() string {
	return `A running server gives the same at /openapi.yaml.

Example:

  tidemark openapi > openapi.yaml`
}

// Run prints the document.
func (openapiCommand) Run(output *Output) error {
	document, err := api.OpenAPI(buildVersion())
	if err != nil {
		return err
	}
	_, err = output.Out.Write(document)
	return err
}
