"""The official OpenAI client: pip install openai, then AROUTER_API_KEY=lr_test_... python3 examples/python.py"""

import os

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("AROUTER_URL", "http://127.0.0.1:8787") + "/v1",
    api_key=os.environ["AROUTER_API_KEY"],
)
response = client.images.generate(
    model="openai/dall-e-3",
    prompt="A futuristic city skyline at sunset, photorealistic",
    n=1,
    size="1024x1024",
    quality="hd",
)
print(response.data[0].url)
